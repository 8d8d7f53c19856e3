"""The merge of the engine: the closed form of `cdcore.merging.merge`."""

from collections.abc import Callable, Sequence

import torch

from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.errors import ConfigError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.merge import Merge, merge
from cdcore.merging.report import MergeReport
from cdcore.merging.settings import MERGE_METHODS, MergeMethod
from cdcore.model.update import Update
from serve.concepts.mix import ConceptRef
from serve.concepts.preparation import Merged, MergePart

__all__ = ["ConceptMerger", "figures_of", "method_named"]


def method_named(name: str) -> MergeMethod:
    """Return a merge method by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    for method in MERGE_METHODS:
        if method == name:
            return method
    raise ConfigError(f"merge is {name[:40]!r}, expected one of {', '.join(MERGE_METHODS)}")


def figures_of(report: MergeReport) -> dict[str, float]:
    """Return what a merge says of its errors, by name: the drift, and two of each concept."""
    found = {"drift": report.drift}
    for part in report.concepts:
        for name, value in (("constraint", part.constraint), ("held_out", part.held_out)):
            if value is not None:
                found[f"{part.name}.{name}"] = value
    return found


class ConceptMerger:
    """Merges for one base."""

    def __init__(
        self, statistics: CaptionStatistics, inputs_of: Callable[[ConceptRef], MergeInputs]
    ) -> None:
        """Take what every merge needs.

        Args:
            statistics: Statistics of the captions that merges leave alone.
            inputs_of: Finds the merge inputs of a concept; may raise `CustomDiffusionError`.
        """
        self._statistics = statistics
        self._inputs_of = inputs_of

    def __call__(self, parts: Sequence[MergePart], method: str) -> Merged:
        """Merge for the engine; a `serve.concepts.preparation.Merge`.

        Raises:
            CustomDiffusionError: As for `merge`, or a concept has no merge inputs.
        """
        updates = None
        if method == "sum":
            # A file holds half precision, so casting back gives what was read from it.
            updates = [part.concept.update.to("cpu", torch.float32) for part in parts]
        weighted = [(part.reference, part.weight) for part in parts]
        made = self.merge(weighted, method, updates=updates)
        return Merged(made.concept.update, made.concept.tokens, figures_of(made.report))

    def merge(
        self,
        weighted: Sequence[tuple[ConceptRef, float]],
        method: str,
        *,
        updates: Sequence[Update] | None = None,
        name: str | None = None,
    ) -> Merge:
        """Merge concepts.

        Args:
            weighted: The concepts and their weights.
            method: "constrained", "ridge" or "sum".
            updates: Each concept's update, float32 on the CPU; only "sum" needs them.
            name: The result's name; None joins the concepts' names.

        Raises:
            ConfigError: There is no such method.
            CustomDiffusionError: As for `cdcore.merging.merge.merge`, or a concept has no merge
                inputs.
        """
        chosen = method_named(method)
        return merge(
            [self._inputs_of(reference) for reference, _ in weighted],
            self._statistics,
            [weight for _, weight in weighted],
            method=chosen,
            name=name,
            updates=updates,
        )
