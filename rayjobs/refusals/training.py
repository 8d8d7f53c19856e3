"""Refusals of a training job or a sweep that need neither torch nor Ray."""

from typing import TYPE_CHECKING

from cdcore.formats.exports.tool_names import tools_named
from cdcore.model.base_files import local_base
from cdcore.pictures.picture_folder import split_holdout
from cdcore.pictures.picture_source import find_pictures
from rayjobs.config.training import TrainJob, configured
from rayjobs.runs.result_paths import absolute, base_name, registry_location, result_folder

if TYPE_CHECKING:
    from cdcore.training.config import TrainingConfig

__all__ = ["check_training"]


def check_training(job: TrainJob) -> "TrainingConfig":
    """Find out what is wrong with a job as far as names, words and numbers say it.

    Returns:
        The training configuration of the job.

    Raises:
        PictureError: There are no pictures, or a file is none whatever its name says.
        BaseModelError: There is no such base.
        TokenError: The base's tokenizer cannot use the class noun or a token.
        ConfigError: A setting is impossible.
    """
    for source in job.sources:
        split_holdout(find_pictures(absolute(source.images)).files, job.holdout)
    tools_named(job.export)
    base = local_base(base_name(job.base))
    config = configured(job, base.profile, base.check_word)
    result_folder(job.output, "--output")
    result_folder(job.cache, "--cache")
    if job.registry is not None:
        registry_location(job.registry)
    return config
