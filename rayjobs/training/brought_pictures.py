"""The regularization pictures that the user brings, of each subject of a job."""

from collections.abc import Callable, Sequence

from rich.console import Console

from cdcore.model.unread_text import UnreadText
from cdcore.training.captioned_pictures import CaptionedPicture, read_captioned_pictures
from cdcore.training.config import TrainingConfig
from rayjobs.cli.caption_notes import print_caption_notes
from rayjobs.cli.unread_pictures import print_unread_regularization
from rayjobs.config.training import TrainJob
from rayjobs.runs.result_paths import absolute

__all__ = ["brought_pictures", "print_notes_on_brought"]


def brought_pictures(
    job: TrainJob, config: TrainingConfig, resolution: int, *, most: int = 0
) -> list[Sequence[CaptionedPicture]]:
    """Read the regularization pictures of each subject that has a folder of them.

    Args:
        job: As the user wrote it.
        config: As it was resolved; says how many pictures are shown.
        resolution: Side of the training images in pixels.
        most: How many are read where some run shows more of them than this one.

    Returns:
        An empty list for a subject whose pictures the base generates.

    Raises:
        PictureError: A picture or a caption cannot be used.
        ConfigError: A folder has too few pictures.
    """
    count = max(config.regularization_images, most)
    return [
        ()
        if source.regularization is None
        else read_captioned_pictures(absolute(source.regularization), count, resolution)
        for source in job.sources
    ]


def print_notes_on_brought(
    job: TrainJob,
    brought: Sequence[Sequence[CaptionedPicture]],
    unread: Callable[[str], UnreadText | None],
    console: Console,
) -> None:
    """Print what of the folders and their captions is not read.

    Args:
        job: As the user wrote it.
        brought: What `brought_pictures` has returned for it.
        unread: Returns what the base does not read of a text.
        console: Where to.
    """
    for source, pictures in zip(job.sources, brought, strict=True):
        if source.regularization is not None:
            folder = absolute(source.regularization)
            print_unread_regularization([folder], len(pictures), console)
            print_caption_notes([one.caption for one in pictures], unread, console)
