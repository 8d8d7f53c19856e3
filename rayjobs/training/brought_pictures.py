"""The regularization pictures that the user brings, of each subject of a job."""

from collections.abc import Sequence

from cdcore.training.captioned_pictures import CaptionedPicture, read_captioned_pictures
from cdcore.training.config import TrainingConfig
from rayjobs.config.training import TrainJob
from rayjobs.runs.result_paths import absolute

__all__ = ["brought_pictures"]


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
