import hashlib
import os
from pathlib import Path

import pytest

from cdcore.errors import RegistryError
from cdcore.registry.content_cache import ContentCache, check_content


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def test_content_is_read_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    cache, reads = ContentCache(tmp_path / "cache", 1000), []

    def read() -> bytes:
        reads.append(1)
        return b"content"

    for expected in (1, 1):
        file = cache.file(digest(b"content"), read, "there")
        assert file.read_bytes() == b"content"
        assert len(reads) == expected
    file.write_bytes(b"conten")
    assert cache.file(digest(b"content"), read, "there").read_bytes() == b"content"
    assert len(reads) == 2


def test_content_of_another_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache", 1000)
    with pytest.raises(RegistryError, match="there: damaged"):
        cache.file(digest(b"content"), lambda: b"contend", "there")
    assert not (tmp_path / "cache").exists()
    check_content(b"content", digest(b"content"), "there")


def test_the_least_recently_used_goes_first_and_the_newest_never(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, 25)

    def use(letter: bytes) -> None:
        data = letter * 10
        file = cache.file(digest(data), lambda: data, "there")
        stamp = 10**9 * (1 + len(used))
        os.utime(file, ns=(stamp, stamp))
        used.append(letter)

    def kept() -> set[bytes]:
        return {path.read_bytes()[:1] for path in tmp_path.iterdir()}

    used: list[bytes] = []
    for letter in (b"a", b"b", b"a", b"c"):
        use(letter)
    assert kept() == {b"a", b"c"}
    ContentCache(tmp_path, 0).file(digest(b"d"), lambda: b"d", "there")
    assert kept() == {b"d"}
