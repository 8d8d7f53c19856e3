"""A picture file without its metadata: what is tried when a file cannot be read as it is.

Texts, EXIF blocks and profiles are written by many programs and read by libraries that refuse the
whole file for them. Each kind has two attempts: first without all but orientation and profile,
then without these.
"""

import re
import zlib
from collections.abc import Collection, Iterator

from cdcore.pictures.file_kinds import Kind

__all__ = ["bare_copies"]

_PNG_SIGNATURE = 8
_PNG_KEPT = (frozenset({b"tRNS", b"iCCP", b"eXIf"}), frozenset({b"tRNS"}))
"""Chunks that need not be understood, and are still kept; transparency is part of the picture."""

_EXIF, _PROFILE, _ADOBE = b"\xff\xe1Exif\0\0", b"\xff\xe2ICC_PROFILE\0", b"\xff\xeeAdobe"
_JPEG_KEPT = ((_EXIF, _PROFILE, _ADOBE), (_ADOBE,))
"""Segments of applications that are kept; Adobe's says what the channels are."""
_LEAST_SEGMENT = 16
"""Bytes of Adobe's segment, the shortest that is kept."""
_START_OF_SCAN, _COMMENT = 0xDA, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)

_EXIF_ITEM = re.compile(rb"(infe[\x02\x03].{7})Exif", re.DOTALL)


def bare_copies(data: bytes, kind: Kind) -> Iterator[bytes]:
    """Yield copies of a file that have ever less metadata; none for kinds without a way to.

    Args:
        data: The whole file.
        kind: What it is.
    """
    if kind == "PNG":
        yield from (_bare_png(data, kept) for kept in _PNG_KEPT)
    elif kind == "JPEG":
        yield from (_bare_jpeg(data, kept) for kept in _JPEG_KEPT)
    elif kind in ("AVIF", "HEIF"):
        # An item of a type that nobody knows is passed over, and nothing in the file moves.
        yield _EXIF_ITEM.sub(rb"\1free", data)


def _bare_png(data: bytes, kept: Collection[bytes]) -> bytes:
    parts, at = [data[:_PNG_SIGNATURE]], _PNG_SIGNATURE
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name, body, check = data[at + 4 : at + 8], data[at + 4 : end - 4], data[end - 4 : end]
        # In PNG a capital first letter marks what a picture cannot do without.
        is_whole = zlib.crc32(body).to_bytes(4, "big") == check
        if name[:1].isupper() or (name in kept and is_whole):
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _bare_jpeg(data: bytes, kept: tuple[bytes, ...]) -> bytes:
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        start = data[at : at + 2] + data[at + 4 : at + 20]
        if marker == _START_OF_SCAN:
            break
        is_extra = marker in _APPLICATIONS or marker == _COMMENT
        if not is_extra or (start.startswith(kept) and end - at >= _LEAST_SEGMENT):
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])
