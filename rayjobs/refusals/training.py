"""Refusals of a training job or a sweep that need neither torch nor Ray."""

from pathlib import Path
from typing import TYPE_CHECKING

from cdcore.formats.exports.tool_names import tools_named
from cdcore.model.base_files import local_base
from cdcore.pictures.picture_folder import split_holdout
from cdcore.pictures.picture_source import find_pictures
from cdcore.training.captioned_pictures import captioned_paths
from cdcore.user_paths import check_length
from raycluster.joinable import check_joinable
from rayjobs.cli.output_checks import check_place
from rayjobs.config.training import TrainJob, configured
from rayjobs.runs.result_paths import absolute, base_name, registry_location, result_folder
from rayjobs.runs.working_copy import explained

if TYPE_CHECKING:
    from cdcore.training.config import TrainingConfig

__all__ = ["check_training"]


def check_training(job: TrainJob, *, most_regularization: int = 0) -> "TrainingConfig":
    """Find out what is wrong with a job as far as names, words and numbers say it.

    Args:
        job: As the user wrote it.
        most_regularization: Regularization pictures that some trial of a sweep shows.

    Returns:
        The training configuration of the job.

    Raises:
        PictureError: There are no pictures, or a file is none whatever its name says; or captions
            cannot be used.
        BaseModelError: There is no such base.
        TokenError: The base's tokenizer cannot use the class noun or a token.
        ConfigError: A setting is impossible, or nobody listens where the cluster should be.
    """
    for source in job.sources:
        with explained(source.images):
            split_holdout(find_pictures(absolute(source.images)).files, job.holdout)
    tools_named(job.export)
    with explained(Path(job.base)):
        base = local_base(base_name(job.base))
    config = configured(job, base.profile, base.check_word)
    for source in job.sources:
        if source.regularization is not None:
            count = max(config.regularization_images, most_regularization)
            with explained(source.regularization):
                captioned_paths(absolute(source.regularization), count)
    output = result_folder(job.output, "--output")
    check_length(output / job.name / f"{job.name}.safetensors")
    check_place(output, "--output")
    check_place(result_folder(job.cache, "--cache"), "--cache")
    if job.registry is not None:
        registry_location(job.registry)
    if not job.dry_run:
        check_joinable()
    return config
