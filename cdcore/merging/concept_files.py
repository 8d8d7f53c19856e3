"""Several concept files made into one thing to sample with, by any of the methods."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from cdcore.concepts.masked_sum import MaskedPart, MaskedSum
from cdcore.concepts.merge_inputs import MergeInputs, describe
from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.concepts.subject import Subject, distinct_subjects
from cdcore.errors import ConfigError
from cdcore.merging.caption_statistics import (
    CaptionStatistics,
    caption_statistics,
    stored_statistics,
)
from cdcore.merging.masked_report import masked_report
from cdcore.merging.merge import Merge, merge
from cdcore.merging.report import MergeReport
from cdcore.merging.settings import MergeSettings
from cdcore.model.base import Base
from cdcore.model.update import Update

__all__ = ["MergedConcepts", "find_statistics", "merge_files"]

Files = Sequence[tuple[Path, float]]
"""Concept files with their weights."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MergedConcepts:
    """What to sample with.

    Attributes:
        update: On the CPU; an `Update` but for "masked".
        tokens: The row of each modifier token, some renamed.
        subjects: The subjects of each file, with their tokens as they are now.
        report: What was kept.
        merge: The merged concept; None for "masked", which no file can hold.
    """

    update: Update | MaskedSum
    tokens: Mapping[str, Tensor]
    subjects: tuple[tuple[Subject, ...], ...]
    report: MergeReport
    merge: Merge | None

    @property
    def remarks(self) -> list[str]:
        """What the user should be told: renamed tokens, and notes of the merge."""
        renamed = [f"{name} is now {token}" for name, token in self.report.renamed.items()]
        return [*renamed, *self.report.notes]


def find_statistics(
    all_inputs: Sequence[MergeInputs], settings: MergeSettings
) -> CaptionStatistics | None:
    """Return caption statistics of the concepts' base from the cache, or None.

    Whether the base is a pocket base is not known without it, so both banks are looked for.

    Raises:
        ConfigError: The file of captions cannot be used.
    """
    banks = (settings.bank(pocket=pocket) for pocket in (False, True))
    found = (
        stored_statistics(all_inputs[0].base_fingerprint, bank, settings.cache) for bank in banks
    )
    return next((statistics for statistics in found if statistics is not None), None)


def merge_files(
    files: Files,
    settings: MergeSettings,
    *,
    base: Base | None = None,
    name: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> MergedConcepts:
    """Put concepts together.

    Args:
        files: At least one.
        settings: How.
        base: Their base; None where `find_statistics` finds them and the method is not "masked".
        name: The name of the result; None joins the concepts' names.
        on_progress: Called with the captions read and all of them, when they must be read.

    Raises:
        ConceptFileError: A file cannot be used.
        BaseMismatchError: The concepts are of different bases.
        ConfigError: A setting is impossible, or a concept is given at two weights.
        MergeError: The merge is ill-posed.
    """
    if settings.method == "masked":
        assert base is not None
        return _masked(files, base, allow_other_base=settings.allow_other_base)
    weights = [weight for _, weight in files]
    all_inputs = [_merge_inputs(file, base) for file, _ in files]
    encoder = None if base is None else base.text_encoder
    if base is not None and settings.allow_other_base:
        all_inputs = [replace(inputs, base_fingerprint=base.fingerprint) for inputs in all_inputs]
        # What the concepts want was said of the base that they come from.
        encoder = None
    _check_weights(all_inputs, weights)
    if base is None:
        statistics = find_statistics(all_inputs, settings)
        assert statistics is not None
    else:
        bank = settings.bank(pocket=base.is_pocket)
        statistics = caption_statistics(base, bank, settings.cache, on_progress=on_progress)
    updates = None
    if settings.method == "sum":
        updates = [load_concept(file).update for file, _ in files]
    made = merge(
        all_inputs,
        statistics,
        weights,
        method=settings.method,
        penalty=settings.penalty,
        name=name,
        updates=updates,
        allow_ill_posed=settings.allow_ill_posed,
        encoder=encoder,
    )
    return MergedConcepts(
        update=made.concept.update,
        tokens=made.concept.tokens,
        subjects=_subjects_by_concept(made, all_inputs),
        report=made.report,
        merge=made,
    )


def _merge_inputs(file: Path, base: Base | None) -> MergeInputs:
    """Read merge inputs; coarse ones are computed again where their base is at hand."""
    inputs = load_merge_inputs(file)
    if base is None or not inputs.is_coarse or inputs.base_fingerprint != base.fingerprint:
        return inputs
    return describe(load_concept(file), base)


def _check_weights(all_inputs: Sequence[MergeInputs], weights: Sequence[float]) -> None:
    """Refuse copies of a concept at two weights: its targets would be wanted twice, differently.

    Raises:
        ConfigError: Names them.
    """
    first: dict[str, tuple[str, float]] = {}
    for inputs, weight in zip(all_inputs, weights, strict=True):
        name, known = first.setdefault(inputs.digest, (inputs.name, weight))
        if weight != known:
            raise ConfigError(
                f"{name} (weight {known:g}) and {inputs.name} (weight {weight:g}) are the same "
                "concept; give it once, with the sum of its weights"
            )


def _subjects_by_concept(
    made: Merge, all_inputs: Sequence[MergeInputs]
) -> tuple[tuple[Subject, ...], ...]:
    """Return the subjects of each concept as the merge names them; it has its own order."""
    named: dict[str, tuple[Subject, ...]] = {}
    start = 0
    for parent in made.concept.parents:
        end = start + len(parent["subjects"])
        named.setdefault(parent["digest"], made.concept.subjects[start:end])
        start = end
    return tuple(named[inputs.digest] for inputs in all_inputs)


def _masked(files: Files, base: Base, *, allow_other_base: bool) -> MergedConcepts:
    concepts = [load_concept(file) for file, _ in files]
    for concept in concepts:
        concept.check_base(base, allow_other_base=allow_other_base)
    subjects, renamed = distinct_subjects([concept.subjects for concept in concepts])
    tokens = {
        subject.token: row
        for concept, named in zip(concepts, subjects, strict=True)
        for subject, row in zip(
            [subject for subject in named if subject.token is not None],
            concept.tokens.values(),
            strict=True,
        )
        if subject.token is not None
    }
    update = MaskedSum(
        parts=tuple(
            MaskedPart(update=concept.update.scaled(weight), subjects=named)
            for concept, (_, weight), named in zip(concepts, files, subjects, strict=True)
        )
    )
    named_weights = [
        (concept.name, weight) for concept, (_, weight) in zip(concepts, files, strict=True)
    ]
    report = masked_report(base, update, tokens, named_weights)
    names = {f"{concepts[index].name}: {old}": new for (index, old), new in renamed.items()}
    return MergedConcepts(
        update=update,
        tokens=tokens,
        subjects=tuple(subjects),
        report=replace(report, renamed=names),
        merge=None,
    )
