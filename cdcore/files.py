"""Durable files, and texts that users write.

A file is written under a temporary name, flushed and renamed; nothing partial is ever seen. The
temporary name is short, so that every name a disk can hold can be written.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["read_texts", "readable", "replacing", "write_text"]

_MOST_SUFFIX = 20
"""Characters of a suffix that a temporary name repeats, because writers go by it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it and rename it to ``path``.

    Args:
        path: Final name. Its folder is created when missing.

    Yields:
        The temporary path to write to. It is removed when the body raises.

    Raises:
        OSError: The folder cannot be written, ``path`` is a folder itself, or the disk is full;
            ``path`` is then untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
    with _naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        suffix = path.suffix if len(path.suffix) <= _MOST_SUFFIX else ""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _flush(temporary)
        with _naming(path):
            temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one durable step, in UTF-8.

    A byte of a file's name that is not UTF-8 is written with a backslash, as JSON and YAML write it
    inside quotes.

    Raises:
        OSError: As for `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_texts(path: Path) -> tuple[str, ...]:
    """Return the texts of a file, one on each line; empty lines and # lines are skipped.

    Raises:
        OSError: The file cannot be read, or is not a text in UTF-8; ``strerror`` says which.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, "not a text in UTF-8", str(path)) from error
    stripped = (line.strip() for line in lines)
    return tuple(line for line in stripped if line and not line.startswith("#"))


@contextmanager
def readable(path: Path) -> Iterator[Path]:
    """Yield a path of the same file in letters: libraries that map files read no other names.

    Args:
        path: Any file that is there.

    Yields:
        The path itself, or a link to it while the body lasts where its name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="link-") as folder:
            link = Path(folder, "file")
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors name the file that was asked for: a temporary name tells a user nothing."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
