"""The text files of a folder of pictures: which picture each is of, and which are lists."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdcore.errors import PictureError

__all__ = ["found_list", "lines_of", "own_files", "text_of"]


def found_list(name: str, folder: Path, pictures: Sequence[Path]) -> Path | None:
    """Find the list of a name, such as ``caption.txt`` in any case, of a folder of pictures.

    Beside a picture of that name it is the picture's own.

    Args:
        name: In lower case.
        folder: What the user gave.
        pictures: The pictures, in that folder or one inside.

    Raises:
        PictureError: There are several that differ.
    """
    inner = pictures[0].parent
    found = [
        path
        for place in dict.fromkeys((folder, inner))
        for path in _texts(place)
        if path.name.lower() == name
        and not (place == inner and path.stem in {one.stem for one in pictures})
    ]
    if len(found) > 1 and len({text_of(path) for path in found}) > 1:
        raise PictureError(
            f"{folder}: has {found[0].relative_to(folder)} and also "
            f"{found[1].relative_to(folder)}, which differ; keep one of them"
        )
    return found[0] if found else None


def own_files(pictures: Sequence[Path]) -> list[Path | None]:
    """Find the text file of each picture: ``a.txt`` or ``a.jpg.txt`` beside ``a.jpg``.

    Upper case does not matter as long as it is clear which file is meant.

    Args:
        pictures: Of one folder.

    Raises:
        PictureError: A picture has two, or two pictures have one.
    """
    folder = pictures[0].parent
    texts = {path.stem: path for path in _texts(folder)}
    of_stem = _of_each([path.stem for path in pictures], texts)
    of_name = _of_each([path.name for path in pictures], texts)
    counted = Counter(path.stem for path in pictures)
    found = []
    for picture in pictures:
        one, other = of_stem.get(picture.stem), of_name.get(picture.name)
        if one is not None and other is not None:
            raise PictureError(
                f"{folder}: has {one.name} and also {other.name} for {picture.name}; keep one"
            )
        if one is not None and counted[picture.stem] > 1:
            raise PictureError(
                f"{folder}: it is not clear which picture {one.name} is of, for several are called "
                f"{picture.stem}; rename all but one"
            )
        found.append(one or other)
    return found


def lines_of(file: Path) -> list[str]:
    """Return the lines of a list; empty lines at its end do not count.

    Raises:
        PictureError: As for `text_of`.
    """
    text = text_of(file).rstrip()
    return [line.strip() for line in text.split("\n")] if text else []


def text_of(file: Path) -> str:
    """Return what stands in a text file.

    Raises:
        PictureError: It cannot be read, or is not in UTF-8.
    """
    if file.exists() and not file.is_file():
        raise PictureError(f"{file}: cannot be read (it is no file); remove it")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PictureError(f"{file}: not a text in UTF-8; save it as one") from error
    except OSError as error:
        raise PictureError(f"{file}: cannot be read ({error.strerror})") from error


def _texts(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == ".txt" and not path.name.startswith(".")
    ]


def _of_each(names: Sequence[str], texts: Mapping[str, Path]) -> dict[str, Path]:
    """Return the texts that are called like these names, but for upper case where that is clear."""
    exact = {name: texts[name] for name in names if name in texts}
    free = [stem for stem in texts if stem not in exact]
    left = [name for name in dict.fromkeys(names) if name not in exact]
    stems, lowered = Counter(map(str.lower, free)), Counter(map(str.lower, left))
    loose = {stem.lower(): texts[stem] for stem in free if stems[stem.lower()] == 1}
    return exact | {
        name: loose[name.lower()]
        for name in left
        if name.lower() in loose and lowered[name.lower()] == 1
    }
