"""Pictures: those of a folder or a zip archive as upright RGB images with content digests."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from PIL import Image

from cdcore.errors import PictureError
from cdcore.pictures.colour import srgb_on_white
from cdcore.pictures.picture_file import MAX_SHORT_SIDE_PX, decode
from cdcore.pictures.picture_source import PictureFile, find_pictures

__all__ = [
    "Picture",
    "are_photographs",
    "each_picture",
    "picture_warnings",
    "read_pictures",
    "split_holdout",
]

T = TypeVar("T")

_FEW_PICTURES = 4
_LARGEST_DRAWN_PX = 128
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture of a folder.

    Attributes:
        path: The file it was read from; only for messages once the picture is read.
        image: Upright, mode RGB, at most 2048 pixels along the shorter side.
        digest: SHA-256 of the size and the pixels of ``image``, 64 hex digits; independent of
            the name and of the metadata.
    """

    path: Path
    image: Image.Image
    digest: str

    @classmethod
    def from_image(cls, image: Image.Image, path: Path) -> Self:
        """Make a picture from any Pillow image that is already upright.

        Args:
            image: Any mode that `cdcore.pictures.colour.srgb_on_white` takes; not changed.
            path: Where the image came from, for messages.

        Raises:
            PictureError: The mode is 32-bit greyscale.
            ValueError: Pillow has no way from this mode to RGB.
        """
        try:
            rgb = _bounded(srgb_on_white(image))
        except PictureError as error:
            raise PictureError(f"{path}: {error}") from error
        if rgb is image:
            rgb = image.copy()
        # A file's texts and profiles would be kept, and sent to every worker.
        rgb.info = {}
        size = f"{rgb.width}x{rgb.height}:".encode()
        return cls(path=path, image=rgb, digest=hashlib.sha256(size + rgb.tobytes()).hexdigest())


def read_pictures(folder: Path) -> list[Picture]:
    """Read all pictures of a folder or a zip archive, whatever they are called.

    Profiles are converted to sRGB, EXIF orientation is applied; of an animation the first frame is
    taken. HEIC files need the optional package ``pillow-heif``. What is no picture is passed over,
    and named by `cdcore.pictures.picture_source.find_pictures`.

    Args:
        folder: A folder, or a zip archive, with at least one picture directly in it.

    Returns:
        At least one picture, sorted by file name.

    Raises:
        PictureError: `find_pictures` refuses the folder, or a picture is damaged or too large.
    """
    return list(each_picture(folder))


def each_picture(folder: Path) -> Iterator[Picture]:
    """Read the pictures of a folder one after another, as `read_pictures` does.

    Yields:
        At least one picture, sorted by file name; each is read when it is asked for.

    Raises:
        PictureError: As for `read_pictures`.
    """
    for file in find_pictures(folder).files:
        yield _read_picture(file)


def split_holdout(pictures: Sequence[T], count: int) -> tuple[list[T], list[T]]:
    """Set the last ``count`` pictures aside for validation.

    Args:
        pictures: All pictures of one concept, or their paths.
        count: How many to hold out, 0 or more.

    Returns:
        The pictures to train on (at least one) and the held-out ones (``count``).

    Raises:
        PictureError: ``count`` is negative, or no picture would remain to train on.
    """
    if not 0 <= count < len(pictures):
        raise PictureError(
            f"cannot hold out {count} of {len(pictures)} pictures: give a number from 0 to "
            f"{len(pictures) - 1}, so that at least one remains to train on"
        )
    cut = len(pictures) - count
    return list(pictures[:cut]), list(pictures[cut:])


def picture_warnings(pictures: Sequence[Picture], resolution: int) -> list[str]:
    """Say what about these pictures may harm the result.

    Args:
        pictures: The pictures of one concept.
        resolution: Side of the training images, in pixels.

    Returns:
        At most one line each for: fewer than 4 pictures, exact duplicates, and pictures whose
        shorter side is less than half of ``resolution``.
    """
    lines = []
    if len(pictures) < _FEW_PICTURES:
        lines.append(
            f"only {len(pictures)} picture(s): 4 to 20 in different places and poses work best"
        )
    same: defaultdict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        same[picture.digest].append(picture.path.name)
    doubles = [" = ".join(names) for names in same.values() if len(names) > 1]
    if doubles:
        lines.append(f"the same picture more than once counts double: {_some(doubles)}")
    small = [
        f"{p.path.name} ({p.image.width}x{p.image.height})"
        for p in pictures
        if 2 * min(p.image.size) < resolution
    ]
    if small:
        lines.append(f"smaller than half of {resolution} pixels, will look soft: {_some(small)}")
    return lines


def are_photographs(pictures: Sequence[Picture]) -> bool:
    """Return whether any picture is larger, at its shorter side, than a drawn one ever is."""
    return any(min(picture.image.size) > _LARGEST_DRAWN_PX for picture in pictures)


def _read_picture(file: PictureFile) -> Picture:
    try:
        with file.entry.open() as opened:
            image = decode(opened, file.kind)
    except PictureError as error:
        raise PictureError(f"{file.path}: {error}") from error
    except OSError as error:
        raise PictureError(f"{file.path}: cannot be read ({error.strerror})") from error
    return Picture.from_image(image, file.path)


def _bounded(image: Image.Image) -> Image.Image:
    short = min(image.size)
    if short <= MAX_SHORT_SIDE_PX:
        return image
    width, height = (round(side * MAX_SHORT_SIDE_PX / short) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _NAMES_SHOWN
    return ", ".join(shown[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
