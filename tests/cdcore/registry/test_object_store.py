import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import RegistryError
from cdcore.registry.object_store import ObjectStore


def test_what_is_put_is_read_and_listed_and_deleted(location: str) -> None:
    store = ObjectStore(location)
    assert store.listing("current") == {}
    with pytest.raises(FileNotFoundError):
        store.read("current/a.json")
    store.put("current/a.json", b"one")
    store.put("current/deep/b.json", b"")
    store.put("current/a.json", b"three")
    store.create("other/c.bin", bytes(7_000_000))
    assert store.read("current/a.json") == b"three"
    assert store.read("other/c.bin") == bytes(7_000_000)
    listing = store.listing("current")
    assert {name: stat.size_bytes for name, stat in listing.items()} == {"a.json": 5}
    assert listing["a.json"].changed_ns > 0
    for _ in range(2):
        store.delete("current/a.json")
        store.delete_folder("current/deep")
        assert store.listing("current") == {}
        assert store.listing("current/deep") == {}


def test_an_address_is_absolute_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for location in ("here", "~/here", tmp_path / "here", f"file://{tmp_path}/here/"):
        store = ObjectStore(location)
        assert store.is_local
        assert store.address() == str(tmp_path / "here")
        assert store.address("a/b") == str(store.file("a/b")) == str(tmp_path / "here/a/b")
    store = ObjectStore("s3://key:se%2Fcret@bucket/a/?region=us-east-1&scheme=https")
    assert not store.is_local
    assert store.file("a") is None
    assert (store.address(), store.address("b")) == ("s3://bucket/a", "s3://bucket/a/b")


@pytest.mark.parametrize(
    "location", ["ftp://key:secret@host/x", "s3://", "s3://k:secret@a b", "~no-one/x"]
)
def test_a_place_that_cannot_be_opened_is_refused_in_one_line(location: str) -> None:
    with pytest.raises(RegistryError) as caught:
        ObjectStore(location)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_object_that_does_not_arrive_whole_is_not_left(
    s3_location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(s3_location)
    stream = store._stream
    monkeypatch.setattr(store, "_stream", lambda key, data: stream(key, data[:5]))
    with pytest.raises(OSError, match="5 of 10 bytes"):
        store.create("a/b", bytes(10))
    assert store.listing("a") == {}


def test_what_cannot_be_written_is_an_error(tmp_path: Path, s3_options: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        ObjectStore(tmp_path / "file").put("a/b", b"1")
    elsewhere = ObjectStore(f"s3://key:secret@no-bucket/x?{s3_options}")
    for write in (elsewhere.put, elsewhere.create):
        with pytest.raises(OSError, match="bucket does not exist"):
            write("a/b", b"1")


def hold(location: str, held: Any) -> None:
    with ObjectStore(location).turn():
        held.set()
        time.sleep(600)


def count(location: str) -> None:
    store = ObjectStore(location)
    for _ in range(20):
        with store.turn() as is_alone:
            assert is_alone
            store.put("count", str(int(store.read("count")) + 1).encode())


def test_writers_of_a_folder_take_turns(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    store.put("count", b"0")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=count, args=(str(tmp_path),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert store.read("count") == b"40"


def test_a_killed_writer_s_turn_is_over(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    writer = context.Process(target=hold, args=(str(tmp_path), held))
    writer.start()
    assert held.wait(60)
    writer.kill()
    writer.join(60)
    with ObjectStore(tmp_path).turn() as is_alone:
        assert is_alone


def test_an_object_store_has_no_turns(s3_location: str) -> None:
    with ObjectStore(s3_location).turn() as is_alone:
        assert not is_alone
