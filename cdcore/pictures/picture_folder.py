"""Pictures: a folder of image files as upright RGB images with content digests.

Transparent parts become white: cut-outs are published on white pages, so the base has seen many
things on white and hardly any on the flat grey that the augmentation uses as padding.
"""

import hashlib
import importlib
import importlib.util
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cdcore.errors import PictureError

__all__ = [
    "Picture",
    "are_photographs",
    "each_picture",
    "picture_paths",
    "picture_warnings",
    "read_pictures",
    "split_holdout",
]

T = TypeVar("T")

MAX_PIXELS = 100_000_000
"""A file whose header declares more pixels is refused before anything is decoded."""

MAX_SHORT_SIDE_PX = 2048
"""Larger pictures are scaled down when read: training at 1024 never looks at more than 1434, and a
folder of camera pictures would otherwise fill the memory."""

_HEIF_SUFFIXES = frozenset({".heic", ".heif"})
_SUFFIXES = _HEIF_SUFFIXES | {
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"),
}
# Named, because Pillow would otherwise try every format it knows, among them EPS, which starts
# another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
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
            image: Any mode that has a way to RGB; not changed.
            path: Where the image came from, for messages.

        Raises:
            PictureError: The mode is 32-bit greyscale.
            ValueError: Pillow has no way from this mode to RGB.
        """
        rgb = _bounded(_rgb(image, path))
        size = f"{rgb.width}x{rgb.height}:".encode()
        return cls(path=path, image=rgb, digest=hashlib.sha256(size + rgb.tobytes()).hexdigest())


def read_pictures(folder: Path) -> list[Picture]:
    """Read all pictures of a folder.

    Files that are not named like pictures, hidden files and subfolders are ignored. EXIF
    orientation is applied; of an animation the first frame is taken. HEIC files need the optional
    package ``pillow-heif``.

    Args:
        folder: A folder with at least one picture (.jpg, .png, .webp, .heic and others).

    Returns:
        At least one picture, sorted by file name.

    Raises:
        PictureError: The folder is missing, is no folder, cannot be listed or holds no picture;
            or a picture is damaged, is no picture, or declares more than 100 megapixels.
    """
    return list(each_picture(folder))


def each_picture(folder: Path) -> Iterator[Picture]:
    """Read the pictures of a folder one after another, as `read_pictures` does.

    Yields:
        At least one picture, sorted by file name; each is read when it is asked for.

    Raises:
        PictureError: As for `read_pictures`.
    """
    for path in picture_paths(folder):
        yield _read_picture(path)


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


def picture_paths(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name, without opening them.

    Raises:
        PictureError: The folder is missing, is no folder, cannot be listed or holds no picture.
    """
    if not folder.exists():
        raise PictureError(f"{folder}: no such folder; give the folder that holds the pictures")
    if not folder.is_dir():
        raise PictureError(f"{folder}: not a folder; give the folder that holds the pictures")
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as exc:
        raise PictureError(
            f"{folder}: cannot be listed ({exc.strerror}); check its rights"
        ) from exc
    paths = [path for path in entries if _is_picture_name(path) and not path.is_dir()]
    if not paths:
        raise PictureError(
            f"{folder}: no pictures in it; put .jpg, .png, .webp or .heic files directly into the "
            "folder (subfolders are not searched)"
        )
    return paths


def _is_picture_name(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in _SUFFIXES


def _read_picture(path: Path) -> Picture:
    formats = _readable_formats()
    if path.suffix.lower() in _HEIF_SUFFIXES and "HEIF" not in formats:
        raise PictureError(
            f"{path}: HEIC pictures need the package pillow-heif; install it, or save as JPEG"
        )
    try:
        with _open(path, formats) as image:
            _check_declared_size(path, image)
            # Upright before the mode changes, because a converted image may lose its EXIF data.
            return Picture.from_image(ImageOps.exif_transpose(image), path)
    except PictureError:
        raise
    except Image.DecompressionBombError as exc:
        raise _too_large(path) from exc
    except UnidentifiedImageError as exc:
        raise PictureError(_unreadable(path)) from exc
    except Exception as exc:  # Pillow's decoders raise almost any type on damaged files.
        raise PictureError(f"{path}: damaged picture ({exc}); replace or remove it") from exc


def _readable_formats() -> list[str]:
    if importlib.util.find_spec("pillow_heif") is not None:
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _open(path: Path, formats: list[str]) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from 89 megapixels on; the limit here is checked by _check_declared_size.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=formats)


def _check_declared_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)


def _too_large(path: Path) -> PictureError:
    limit = MAX_PIXELS // 1_000_000
    return PictureError(f"{path}: declares more than {limit} megapixels; scale it down first")


def _unreadable(path: Path) -> str:
    if path.stat().st_size == 0:
        return f"{path}: empty file; replace or remove it"
    return f"{path}: not a picture that can be read, whatever its name says; replace or remove it"


def _rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which turns nearly every pixel white.
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise PictureError(
            f"{path}: 32-bit greyscale has no known brightness range; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


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
