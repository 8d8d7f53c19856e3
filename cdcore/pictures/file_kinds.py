"""Kinds of picture files, told by how a file begins: its name may say anything."""

__all__ = ["HEAD_BYTES", "PICTURE_SUFFIXES", "RAW_SUFFIXES", "Kind", "kind_of"]

from typing import Literal

Kind = Literal["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"]
"""What is read, in Pillow's words. Pillow knows many more, among them EPS, which starts another
program."""

HEAD_BYTES = 64
"""How much of a file's beginning `kind_of` wants."""

PICTURE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib"),
        *(".gif", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"),
    }
)
"""Lower-case suffixes that promise a picture: a file that does not keep it is refused."""

RAW_SUFFIXES = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".mef", ".mos", ".nef"),
        *(".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srw"),
    }
)
"""Lower-case suffixes of cameras' raw files. Many begin like a TIFF, whose first picture is a
thumbnail."""

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BMP_HEADER_BYTES = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_COMMON_BRANDS = {b"mif1", b"msf1", b"miaf"}


def kind_of(head: bytes) -> Kind | None:
    """Return the kind of picture a file begins as, or None.

    Args:
        head: The first `HEAD_BYTES` bytes, or the whole of a shorter file.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM":
        # Any text may begin with these two letters.
        is_header = int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES
        return "BMP" if is_header else None
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    return next((kind for start, kind in _BEGINNINGS if head.startswith(start)), None)


def _kind_of_brands(head: bytes) -> Kind | None:
    """Tell pictures from each other and from films, which have the same container."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    brands = {major} | {head[at : at + 4] for at in range(16, end - 3, 4)}
    if major not in _HEIF_BRANDS | _AVIF_BRANDS | _COMMON_BRANDS:
        return None
    return "AVIF" if brands & _AVIF_BRANDS else "HEIF"
