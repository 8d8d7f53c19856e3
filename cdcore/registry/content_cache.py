"""A cache of files named by their content, within a size."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from cdcore.errors import RegistryError
from cdcore.files import replacing

__all__ = ["ContentCache", "check_content"]

_SUFFIX = ".safetensors"


def check_content(data: bytes, digest: str, where: str) -> None:
    """Refuse bytes that are not those of a hash.

    Args:
        data: Content.
        digest: The first hex digits of its SHA-256.
        where: How an error names it.

    Raises:
        RegistryError: The content has another hash.
    """
    found = hashlib.sha256(data).hexdigest()[: len(digest)]
    if found != digest:
        raise RegistryError(
            f"{where}: damaged, its SHA-256 begins with {found}; publish it again, or delete that "
            "version"
        )


class ContentCache:
    """Files by the first digits of their SHA-256; several processes may share it."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Use a folder; it is made when something is put there.

        Args:
            folder: The folder of this cache alone.
            size_bytes: The size that it may grow to; the least recently used files go first.
        """
        self._folder = folder
        self._size_bytes = size_bytes

    def file(self, digest: str, read: Callable[[], bytes], where: str) -> Path:
        """Return the file of a content, which ``read`` gives when the cache lacks it.

        Raises:
            RegistryError: What ``read`` gives has another hash.
            OSError: The cache cannot be written.
        """
        path = self._folder / f"{digest}{_SUFFIX}"
        try:
            check_content(path.read_bytes(), digest, str(path))
            os.utime(path)
            return path
        except (FileNotFoundError, RegistryError):
            # Missing or damaged: both are mended by reading it again.
            data = read()
        check_content(data, digest, where)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        self._prune(path)
        return path

    def _prune(self, newest: Path) -> None:
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((stat.st_mtime_ns, stat.st_size, path))
        excess = sum(size for _, size, _ in found) - self._size_bytes
        for _, size, path in sorted(found):
            if excess > 0 and path != newest:
                path.unlink(missing_ok=True)
                excess -= size
