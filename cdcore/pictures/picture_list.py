"""A list of pictures by name, one on each line, as data sets of the paper's authors have it.

A line is a path on another machine, a path in another folder, or a bare name: the name counts.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath, PurePosixPath

__all__ = ["line_numbers"]

_KEYS: tuple[Callable[[PurePath], str], ...] = (
    lambda path: path.name,
    lambda path: path.name.lower(),
    lambda path: path.stem.lower(),
)
"""What of a line is a picture's name: the first that some line has. Suffixes change in copies."""


def line_numbers(lines: Sequence[str], pictures: Sequence[Path]) -> list[int]:
    """Return the line that names each picture, counted from 0.

    Raises:
        LookupError: A picture is on no line or on several, or two are on one; says which.
    """
    names = [PurePosixPath(line.strip("\"' ").replace("\\", "/")) for line in lines]
    indexes: list[defaultdict[str, list[int]]] = [defaultdict(list) for _ in _KEYS]
    for number, name in enumerate(names):
        for key, index in zip(_KEYS, indexes, strict=True):
            index[key(name)].append(number)
    taken: dict[int, Path] = {}
    for picture in pictures:
        found = next(
            (
                index[key(picture)]
                for key, index in zip(_KEYS, indexes, strict=True)
                if key(picture) in index
            ),
            [],
        )
        if len(found) != 1:
            raise LookupError(f"it names {picture.name} {'twice or more' if found else 'nowhere'}")
        if found[0] in taken:
            raise LookupError(f"one line may be {taken[found[0]].name} or {picture.name}")
        taken[found[0]] = picture
    return list(taken)
