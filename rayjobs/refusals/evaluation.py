"""Refusals of an evaluation that need neither torch nor Ray."""

from cdcore.evaluation.dataset import read_concept_set
from cdcore.evaluation.plan import select
from cdcore.model.base_files import local_base
from cdcore.user_paths import check_length
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.runs.result_paths import absolute, base_name, result_folder

__all__ = ["check_evaluation"]


def check_evaluation(job: EvaluateJob) -> None:
    """Find out what is wrong with an evaluation as far as its data set and its numbers say it.

    Raises:
        ConfigError: The data set cannot be read, or a setting is impossible.
        BaseModelError: There is no such base.
    """
    whole = read_concept_set(absolute(job.dataset))
    selection = select(
        whole, sections=job.sections, limit=job.chosen_limit, prompts=job.chosen_prompts
    )
    job.plan()
    local_base(base_name(job.base))
    output = result_folder(job.output, "--output")
    for entry in (*selection.singles, *selection.pairs):
        check_length(output / entry.name / f"{entry.name}.safetensors")
    result_folder(job.cache, "--cache")
