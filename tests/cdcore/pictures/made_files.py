"""Picture files made byte by byte: what Pillow does not write, or writes only as it likes it."""

import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"

P3_COLUMNS = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
"""Red, green and blue of Display P3, adapted to D50, as Apple's profile has them."""
ADOBE_COLUMNS = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
"""Those of Adobe RGB (1998)."""
SRGB_COLUMNS = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.71410),
)
"""Those of sRGB IEC61966-2.1."""
WHITE = (0.9642, 1.0, 0.8249)
"""D50, the white of all profiles."""


def png_chunk(name: bytes, data: bytes, *, is_damaged: bool = False) -> bytes:
    """A chunk, its check sum right or wrong."""
    check = zlib.crc32(name + data) ^ is_damaged
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    bits: int = 8,
    colour: int = 2,
    chunks: Sequence[bytes] = (),
    late_chunks: Sequence[bytes] = (),
) -> bytes:
    """A PNG of unfiltered rows; chunks stand before or after its pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(rows))]
    return PNG_BEGINNING + b"".join([*parts, *late_chunks, png_chunk(b"IEND", b"")])


def tiff(
    pixels: npt.NDArray[np.generic], *, bits: int, photometric: int, extra: int | None = None
) -> bytes:
    """An uncompressed TIFF in one strip, of the byte order of its pixels."""
    order = ">" if pixels.dtype.byteorder == ">" else "<"
    height, width = pixels.shape[:2]
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.tobytes()
    tags = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * bands),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [8]),
        277: ("H", [bands]),
        278: ("I", [height]),
        279: ("I", [len(data)]),
    }
    if extra is not None:
        tags[338] = ("H", [extra])
    return _tiff_file(order, data, tags)


def _tiff_file(order: str, data: bytes, tags: dict[int, tuple[str, list[int]]]) -> bytes:
    body = data + b"\0" * (len(data) % 2)
    start = 8 + len(body)
    table, beyond = struct.pack(order + "H", len(tags)), b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        table += struct.pack(order + "HHI", tag, 3 if kind == "H" else 4, len(values))
        if len(packed) > 4:
            table += struct.pack(order + "I", after + len(beyond))
            beyond += packed
        else:
            table += packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    end = struct.pack(order + "I", 0)
    return mark + struct.pack(order + "I", start) + body + table + end + beyond


def bmp(pixels: Sequence[tuple[int, int, int, int]]) -> bytes:
    """A BMP of one row whose header says that the fourth byte, of (B, G, R, A), is alpha."""
    data = b"".join(map(bytes, pixels))
    header = struct.pack("<IiiHHIIiiII", 108, len(pixels), 1, 1, 32, 3, len(data), 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + b"\0" * 48
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + data


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """A segment, such as 0xE1 for EXIF."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG file with segments at its beginning."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def rgb_profile(columns: Sequence[tuple[float, float, float]], gamma: float | None = None) -> bytes:
    """An ICC profile of three primaries; its curve is a power, or that of sRGB."""
    curve = _curve(gamma)
    tags = {b"wtpt": _xyz(WHITE), b"desc": _description(), b"cprt": _text()}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": curve}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    """An ICC profile of grey by a power."""
    tags = {b"wtpt": _xyz(WHITE), b"kTRC": _curve(gamma), b"desc": _description(), b"cprt": _text()}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile(lab_of: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """An ICC profile of four inks: L*a*b* of each of their 16 combinations of none and all.

    Between these it is linear in L*a*b*.
    """
    head = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    head += b"".join(struct.pack(">i", 65536 * (i in (0, 4, 8))) for i in range(9))
    line = bytes(range(256))
    nodes = b""
    for cyan, magenta, yellow, black in itertools.product((0, 1), repeat=4):
        light, a, b = lab_of[cyan, magenta, yellow, black]
        nodes += bytes([round(light * 2.55), round(a + 128), round(b + 128)])
    table = head + line * 4 + nodes + line * 3
    tags = {b"A2B0": table, b"wtpt": _xyz(WHITE), b"desc": _description(), b"cprt": _text()}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + kind + space + connection
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(WHITE)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    levels = srgb_to_linear(np.linspace(0, 1, 1024))
    values = np.round(levels * 65535).astype(">u2").tobytes()
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + values


def _description() -> bytes:
    return b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)


def _text() -> bytes:
    return b"text" + bytes(4) + b"none\0"


def srgb_to_linear(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Light of sRGB values in [0, 1], by IEC 61966-2-1."""
    given = np.asarray(values, dtype=np.float64)
    low = given / 12.92
    return np.where(given <= 0.04045, low, ((given + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """SRGB values in [0, 1] of light, what is out of range clipped."""
    given = np.clip(np.asarray(light, dtype=np.float64), 0, 1)
    return np.where(given <= 0.0031308, given * 12.92, 1.055 * given ** (1 / 2.4) - 0.055)
