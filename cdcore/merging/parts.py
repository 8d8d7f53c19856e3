"""The parts of a merge: concepts in the order of their content, each subject with its own token."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.concepts.subject import Subject, distinct_subjects
from cdcore.errors import BaseMismatchError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.model.update import Update

__all__ = ["Part", "arrange", "check_bases"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """A concept in a merge.

    Attributes:
        all_inputs: Its merge inputs.
        weight: Factor on what it was taught.
        subjects: Its subjects, by the names that the merge gives them.
        update: Its update where one was given, else None.
    """

    inputs: MergeInputs
    weight: float
    subjects: tuple[Subject, ...]
    update: Update | None

    @property
    def tokens(self) -> dict[str, Tensor]:
        """The row of each modifier token as the merge names it."""
        named = [subject.token for subject in self.subjects if subject.token is not None]
        return dict(zip(named, self.inputs.tokens.values(), strict=True))


def check_bases(all_inputs: Sequence[MergeInputs], statistics: CaptionStatistics) -> None:
    """Refuse concepts that do not share the base of the statistics.

    Raises:
        BaseMismatchError: Their bases differ.
    """
    wanted, width = statistics.base_fingerprint, len(statistics.factor)
    rows = all_inputs[0].constraint.values.shape[1]
    for inputs in all_inputs:
        shape = inputs.constraint.values.shape[1], inputs.constraint.features.shape[1]
        if inputs.base_fingerprint != wanted or shape != (rows, width):
            raise BaseMismatchError(
                f"concept {inputs.name!r} was trained on base {inputs.base_name!r} "
                f"({inputs.base_fingerprint[:12]}, K/V stack {shape}), the merge is for "
                f"{wanted[:12]} {(rows, width)}; merge concepts of one base only, or train it again"
            )


def arrange(
    all_inputs: Sequence[MergeInputs], weights: Sequence[float], updates: Sequence[Update] | None
) -> tuple[list[Part], dict[str, str], list[str]]:
    """Sort by content, take what is given twice once, and give every subject a token of its own.

    Args:
        all_inputs: The merge inputs of the concepts.
        weights: The weight of each concept.
        updates: The update of each concept, or None.

    Returns:
        The parts; the new token of each that collided, by ``name: <old>``; and notes for the user.
    """
    order = sorted(
        range(len(all_inputs)),
        key=lambda at: (all_inputs[at].digest, all_inputs[at].name, weights[at]),
    )
    seen: set[tuple[str, float]] = set()
    chosen, notes = [], []
    for at in order:
        key = all_inputs[at].digest, weights[at]
        if key in seen:
            notes.append(f"{all_inputs[at].name} is given twice, and counts once")
        else:
            chosen.append(at)
        seen.add(key)
    subjects, renamed = distinct_subjects([all_inputs[at].subjects for at in chosen])
    parts = [
        Part(
            inputs=all_inputs[at],
            weight=weights[at],
            subjects=named,
            update=None if updates is None else updates[at],
        )
        for at, named in zip(chosen, subjects, strict=True)
    ]
    names = {
        f"{all_inputs[chosen[index]].name}: {old}": new for (index, old), new in renamed.items()
    }
    return parts, names, notes
