"""Adobe RGB (1998), which cameras name in EXIF and do not embed.

The Design rule for Camera File system (JEITA CP-3461) gives such files the interoperability index
"R03". Primaries are those of Adobe's specification of 2005, adapted to D50; the curve is a power of
563/256.
"""

import struct
from functools import cache

from PIL import ExifTags, Image

__all__ = ["adobe_rgb_profile", "names_adobe_rgb"]

_INDEX = "R03"
_WHITE = (0.9642, 1.0, 0.8249)
_COLUMNS = {
    b"r": (0.60974, 0.31111, 0.01947),
    b"g": (0.20528, 0.62567, 0.06087),
    b"b": (0.14919, 0.06322, 0.74457),
}
_GAMMA = 563
"""In 256ths, as a profile stores it."""
_HEADER_BYTES = 128
_VERSION = 0x02400000


def names_adobe_rgb(exif: Image.Exif) -> bool:
    """Return whether EXIF data say that the picture is in Adobe RGB."""
    index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    return isinstance(index, str) and index.rstrip("\0 ") == _INDEX


@cache
def adobe_rgb_profile() -> bytes:
    """Return an ICC profile of version 2 with the matrix and the curve, and nothing else."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, _GAMMA)
    tags = {b"wtpt": _xyz(_WHITE)}
    for name, column in _COLUMNS.items():
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": curve}
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI", start + len(body), _VERSION) + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + _xyz(_WHITE)[8:]
    return header.ljust(_HEADER_BYTES, b"\0") + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))
