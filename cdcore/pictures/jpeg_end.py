"""The end of a JPEG file: whether all of a picture is there that lacks its last bytes.

Programs and cards lose the end marker, and every viewer shows such a picture. A file that was cut
within its data must not pass for one: what is missing would be grey.
"""

from collections.abc import Iterator

__all__ = ["ended_copies"]

_END, _START_OF_SCAN = b"\xff\xd9", 0xDA
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Markers of frames that libjpeg decodes: baseline, extended and progressive."""
_RESTARTS = range(0xD0, 0xD8)
_FILLINGS = (b"", b"\0" * 64, b"\x55" * 64, b"\xaa" * 64)
_COEFFICIENTS = 64


def ended_copies(data: bytes) -> tuple[bytes, ...]:
    """Return copies of a JPEG file with an end marker, each with other bytes before it.

    Where nothing of the picture is missing a decoder passes over those bytes, and all copies show
    the same. Where something is, it takes them for what is missing.

    Args:
        data: The whole file.

    Returns:
        Nothing for a file that has its end marker, or lacks a scan.
    """
    scans = list(_scans(data))
    try:
        is_whole = _is_complete(data, scans)
    except (IndexError, ValueError):  # A header that is cut.
        return ()
    if not is_whole or _END in data[scans[-1] :]:
        return ()
    # A lonely first half of a marker.
    bare = data.removesuffix(b"\xff")
    restart = _next_restart(data[scans[-1] :])
    return tuple(bare + start + filling + _END for start in (b"", restart) for filling in _FILLINGS)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker of each segment, and where its length stands; thumbnails are within one."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        yield marker, at + 2
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN:
            at = _after_scan(data, at)


def _after_scan(data: bytes, at: int) -> int:
    """Return where the first marker after a scan's data stands."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] != 0 and data[at + 1] not in _RESTARTS:
            return at
        at += 2
    return len(data)


def _next_restart(scan: bytes) -> bytes:
    """Return the marker that a decoder waits for where such markers part the data."""
    last = max(_RESTARTS, key=lambda marker: scan.rfind(b"\xff%c" % marker))
    is_there = b"\xff%c" % last in scan
    return b"\xff%c" % (_RESTARTS[(last + 1) % 8] if is_there else _RESTARTS[0])


def _scans(data: bytes) -> Iterator[int]:
    return (at for marker, at in _segments(data) if marker == _START_OF_SCAN)


def _is_complete(data: bytes, scans: list[int]) -> bool:
    """Whether the scans hold every bit of every coefficient of every component."""
    frame = next((at for marker, at in _segments(data) if marker in _FRAMES), None)
    if frame is None:
        return False
    count = data[frame + 7]
    wanted = {
        (component, number)
        for component in data[frame + 8 : frame + 8 + 3 * count : 3]
        for number in range(_COEFFICIENTS)
    }
    for at in scans:
        count = data[at + 2]
        first, last, bits = data[at + 3 + 2 * count : at + 6 + 2 * count]
        # The low half counts the bits that a later scan refines.
        if bits & 0xF == 0:
            components = data[at + 3 : at + 3 + 2 * count : 2]
            wanted -= {(c, number) for c in components for number in range(first, last + 1)}
    return not wanted
