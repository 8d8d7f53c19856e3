"""Refusals of an evaluation that need neither torch nor Ray."""

from pathlib import Path

from cdcore.evaluation.dataset import read_concept_set
from cdcore.evaluation.plan import select
from cdcore.model.base_files import local_base
from cdcore.user_paths import check_length
from raycluster.joinable import check_joinable
from rayjobs.cli.output_checks import check_place
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.runs.result_paths import absolute, base_name, result_folder
from rayjobs.runs.working_copy import explained

__all__ = ["check_evaluation"]


def check_evaluation(job: EvaluateJob) -> None:
    """Find out what is wrong with an evaluation as far as its data set and its numbers say it.

    Raises:
        ConfigError: The data set cannot be read, a setting is impossible, or nobody listens where
            the cluster should be.
        BaseModelError: There is no such base.
    """
    with explained(job.dataset):
        whole = read_concept_set(absolute(job.dataset))
    selection = select(
        whole, sections=job.sections, limit=job.chosen_limit, prompts=job.chosen_prompts
    )
    job.plan()
    with explained(Path(job.base)):
        local_base(base_name(job.base))
    output = result_folder(job.output, "--output")
    for entry in (*selection.singles, *selection.pairs):
        check_length(output / entry.name / f"{entry.name}.safetensors")
    check_place(output, "--output")
    check_place(result_folder(job.cache, "--cache"), "--cache")
    check_joinable()
