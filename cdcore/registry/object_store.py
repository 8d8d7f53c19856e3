"""An object store: whole objects under keys, in a local folder or at any URI of `pyarrow.fs`.

Nothing partial is ever seen under a key. A local object is written beside its place, flushed and
renamed; one on S3, GCS or Azure appears when its upload is completed, so a kill leaves nothing. A
file system that has neither (HDFS) shows an object while it grows: whoever reads must check.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs

from cdcore.errors import ConfigError, RegistryError
from cdcore.files import replacing
from cdcore.user_paths import expanded

__all__ = ["ObjectStat", "ObjectStore"]

_WITHOUT_FOLDERS = ("s3", "gcs", "abfs")
"""There a folder is made by writing into it."""


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a listing tells of an object.

    Attributes:
        size_bytes: Its length.
        changed_ns: When it was written, nanoseconds by the store's own clock; S3 counts seconds.
    """

    size_bytes: int
    changed_ns: int


class ObjectStore:
    """Objects under keys such as ``current/mycat.json``.

    Keys are trusted: they never come from a client. A missing object is a `FileNotFoundError`, and
    whatever else a store cannot do another `OSError`.
    """

    def __init__(self, location: str | Path) -> None:
        """Open a store; nothing is written.

        Args:
            location: A folder, which may be missing, or a URI such as ``s3://bucket/concepts``.

        Raises:
            RegistryError: pyarrow cannot open such a URI.
        """
        self._folder: Path | None = None
        self._filesystem: fs.FileSystem
        if "://" not in str(location):
            self._folder = _absolute(Path(location))
            self._filesystem, self._root = fs.LocalFileSystem(), str(self._folder)
            self._shown = self._root
            return
        self._shown = _without_secrets(str(location))
        try:
            self._filesystem, root = fs.FileSystem.from_uri(str(location))
        except (OSError, ValueError) as error:
            reason = str(error).replace(str(location), self._shown)
            raise RegistryError(
                f"{self._shown}: cannot be opened ({reason}); give a folder, or a URI such as "
                "s3://bucket/concepts"
            ) from error
        self._root = root.rstrip("/")
        if not self._root:
            raise RegistryError(f"{self._shown}: no place; write it as s3://bucket/concepts")
        if isinstance(self._filesystem, fs.LocalFileSystem):
            self._folder, self._shown = Path(root), root

    @property
    def is_local(self) -> bool:
        """Whether objects are files of this machine."""
        return self._folder is not None

    def address(self, key: str = "") -> str:
        """Return where an object, or the store, is: an absolute path or a URI without secrets."""
        return f"{self._shown}/{key}" if key else self._shown

    def file(self, key: str) -> Path | None:
        """Return the path of an object of a local store, else None."""
        return None if self._folder is None else self._folder / key

    def put(self, key: str, data: bytes) -> None:
        """Write a small object in one step, in the place of whatever is there.

        Raises:
            OSError: The store cannot be written; what was there is still there.
        """
        path = self.file(key)
        if path is None:
            self._stream(key, data)
            return
        with replacing(path) as temporary:
            temporary.write_bytes(data)

    def create(self, key: str, data: bytes) -> None:
        """Write an object of any size in one step; only this content is ever written to its key.

        Raises:
            OSError: The store cannot be written; nothing partial is left.
        """
        if self.is_local:
            self.put(key, data)
            return
        try:
            self._stream(key, data)
            written = self._filesystem.get_file_info(self._path(key)).size
            if written != len(data):
                raise OSError(f"{self.address(key)}: {written} of {len(data)} bytes were written")
        except OSError:
            # Closing a stream that could not take all the data completes it as it is.
            with suppress(OSError):
                self.delete(key)
            raise

    def read(self, key: str) -> bytes:
        """Return an object.

        Raises:
            FileNotFoundError: There is none.
            OSError: The object cannot be read.
        """
        with self._filesystem.open_input_stream(self._path(key)) as stream:
            return bytes(stream.read())

    def listing(self, folder: str) -> dict[str, ObjectStat]:
        """Return the objects in a folder by their names; empty when there is no such folder.

        Raises:
            OSError: The store cannot be read.
        """
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        return {
            info.base_name: ObjectStat(int(info.size), int(info.mtime_ns or 0))
            for info in self._filesystem.get_file_info(selector)
            if info.type == fs.FileType.File
        }

    def delete(self, key: str) -> None:
        """Delete an object if there is one.

        Raises:
            OSError: The store cannot be written.
        """
        if self._filesystem.get_file_info(self._path(key)).type == fs.FileType.NotFound:
            return
        with suppress(FileNotFoundError):
            self._filesystem.delete_file(self._path(key))

    def delete_folder(self, folder: str) -> None:
        """Delete a folder and all that is in it, if there is one.

        Raises:
            OSError: The store cannot be written.
        """
        if self._filesystem.get_file_info(self._path(folder)).type == fs.FileType.Directory:
            self._filesystem.delete_dir(self._path(folder))

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Let writers of a local store take turns.

        Yields:
            Whether nobody else writes: False for a store that has no locks. The lock of a killed
            process is free.

        Raises:
            OSError: The folder cannot be written.
        """
        if self._folder is None:
            yield False
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                # Some network file systems cannot lock.
                yield False
            else:
                yield True

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _stream(self, key: str, data: bytes) -> None:
        path = self._path(key)
        if self._filesystem.type_name not in _WITHOUT_FOLDERS:
            self._filesystem.create_dir(os.path.dirname(path), recursive=True)
        with self._filesystem.open_output_stream(path) as stream:
            stream.write(data)


def _absolute(folder: Path) -> Path:
    try:
        found = Path(expanded(str(folder))).resolve()
    except ConfigError as error:
        raise RegistryError(str(error)) from error
    try:
        str(found).encode()
    except UnicodeEncodeError as error:
        raise RegistryError(
            f"{found}: a name that is not UTF-8, which no registry can have; rename it, or give "
            "another folder"
        ) from error
    return found


def _without_secrets(uri: str) -> str:
    """Drop what may hold a key: the user information and the options of a URI."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
