"""Regularization pictures that the user brings: real pictures of the class with their captions.

Kumari et al. 2023 (arXiv 2212.04488) regularize with real pictures that they find by caption in a
large collection, each shown with its own caption, and find them better than generated ones.
"""

from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import ConfigError, PictureError
from cdcore.model.modifier_tokens import modifier_tokens
from cdcore.pictures.captions import Captions, read_captions
from cdcore.pictures.picture_folder import Picture, each_picture
from cdcore.pictures.picture_source import find_pictures, names_beside, note_on_unread

__all__ = ["CaptionedPicture", "captioned_paths", "notes_on_folder", "read_captioned_pictures"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedPicture:
    """A picture, and the prompt that it is shown with.

    Attributes:
        picture: Its central square at the resolution of training.
        caption: One line.
    """

    picture: Picture
    caption: str


def captioned_paths(folder: Path, count: int) -> list[tuple[Path, str]]:
    """Return the first pictures of a folder by name, without opening them, with their captions.

    Args:
        folder: Pictures, or a folder ``images`` of them, as data sets of the authors have it; and
            captions as `cdcore.pictures.captions` reads them.
        count: How many pictures there must be; further ones are left out.

    Raises:
        PictureError: The folder has no pictures, or captions that cannot be used.
        ConfigError: It has fewer than ``count`` pictures.
    """
    paths, captions = _found(folder)
    for path, caption in zip(paths, captions.texts, strict=True):
        tokens = modifier_tokens(caption)
        if tokens:
            raise PictureError(
                f"{path}: its caption names {', '.join(tokens)}, but regularization pictures show "
                "the class and no concept; write it in ordinary words"
            )
    if len(paths) < count:
        raise ConfigError(
            f"{folder}: has {len(paths)} pictures, expected regularization_images of them, {count} "
            f"or more; add pictures, or set regularization_images to {len(paths)}"
        )
    return list(zip(paths, captions.texts, strict=True))[:count]


def notes_on_folder(folder: Path, count: int) -> list[str]:
    """Say in a line each how captions were put together, and what is not read.

    Args:
        folder: As for `captioned_paths`.
        count: How many pictures are shown.

    Raises:
        PictureError: As for `captioned_paths`.
    """
    paths, captions = _found(folder)
    inner = _pictures_in(folder)
    unread = names_beside(folder, {*paths, *captions.files, inner})
    if inner != folder:
        unread += [
            f"{inner.name}/{name}" for name in names_beside(inner, {*paths, *captions.files})
        ]
    notes = [] if captions.note is None else [f"{folder.name}: {captions.note}"]
    if unread:
        notes.append(note_on_unread(folder, unread))
    if len(paths) > count:
        notes.append(f"{folder.name}: the first {count} of {len(paths)} pictures by name are shown")
    return notes


def read_captioned_pictures(folder: Path, count: int, resolution: int) -> list[CaptionedPicture]:
    """Read the first pictures of a folder by name, with their captions.

    A picture is kept as training will see it: hundreds of photographs would fill the memory.

    Args:
        folder: As for `captioned_paths`.
        count: How many pictures there must be.
        resolution: Side of the training images in pixels.

    Raises:
        PictureError: A picture or a caption cannot be used.
        ConfigError: There are fewer than ``count`` pictures.
    """
    # It imports torch, for which checks of names and captions need not wait.
    from cdcore.pictures.augmentation import central_square

    captions = [caption for _, caption in captioned_paths(folder, count)]
    return [
        CaptionedPicture(
            picture=Picture.from_image(central_square(picture.image, resolution), picture.path),
            caption=caption,
        )
        # Captions first: no picture is read that has none among them.
        for caption, picture in zip(captions, each_picture(_pictures_in(folder)), strict=False)
    ]


def _found(folder: Path) -> tuple[list[Path], Captions]:
    paths = [file.path for file in find_pictures(_pictures_in(folder)).files]
    if not folder.is_dir():
        raise PictureError(
            f"{folder}: an archive; unpack it, for pictures with captions are read from a folder"
        )
    return paths, read_captions(folder, paths)


def _pictures_in(folder: Path) -> Path:
    inner = folder / "images"
    return inner if inner.is_dir() else folder
