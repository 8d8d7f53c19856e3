"""Merging: concepts trained apart become one concept, in closed form, from their merge inputs
alone.

Concepts are taken in the order of their content, so the order they are given in never matters. A
concept's values are multiplied by its weight; the rest is `cdcore.merging.closed_form`. A merge
says what it kept, and is refused where it would not keep what it promises.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import (
    MergeFeatures,
    MergeInputs,
    Rows,
    make_merge_inputs,
    target_features,
)
from cdcore.errors import ConfigError, MergeError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.checks import check_merge, precision_notes
from cdcore.merging.closed_form import Solution, applied, least_energy, solve, whitened
from cdcore.merging.parts import Part, arrange, check_bases
from cdcore.merging.report import ConceptError, MergeReport, drift, residual
from cdcore.merging.settings import DEFAULT_METHOD, DEFAULT_PENALTY, MergeMethod
from cdcore.merging.targets import Targets
from cdcore.model.text_encoder import TextEncoder
from cdcore.model.update import DenseUpdate, FactoredUpdate, Update

__all__ = ["Merge", "merge"]

_MOST_DIRECTIONS = 20
"""Leading rows of a subject's sketch that a ridge merge fits (docs/merging.md, which rows count).
A merged pair of Stable Diffusion 1 then stays below 2.5 MB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Merge:
    """A merged concept, and what the merge kept.

    Attributes:
        concept: The result.
        features: Those of the concepts that it was made of.
        report: Figures of the merge.
    """

    concept: Concept
    features: MergeFeatures
    report: MergeReport

    @cached_property
    def inputs(self) -> MergeInputs:
        """The merge inputs of the merged concept, to save it or to merge it again."""
        return make_merge_inputs(self.concept, self.features)


@torch.no_grad()
def merge(  # noqa: PLR0913 - most are keywords
    all_inputs: Sequence[MergeInputs],
    statistics: CaptionStatistics,
    weights: Sequence[float] | None = None,
    *,
    method: MergeMethod = DEFAULT_METHOD,
    penalty: float = DEFAULT_PENALTY,
    name: str | None = None,
    updates: Sequence[Update] | None = None,
    allow_ill_posed: bool = False,
    encoder: TextEncoder | None = None,
) -> Merge:
    """Merge concepts of one base.

    Args:
        all_inputs: The merge inputs of the concepts, at least one.
        statistics: The statistics of the base's captions.
        weights: Factor on what each concept was taught; None is 1 for all.
        method: "constrained" meets the target prompts of all concepts exactly, "ridge" fits many
            prompts of each as well as captions allow, "sum" adds the updates, for comparison.
        penalty: The penalty of "ridge", above 0.
        name: The name of the result; None joins the concepts' names.
        updates: The update of each concept; only "sum" needs them.
        allow_ill_posed: Return a merge that would be refused; its report has the reason.
        encoder: The base's text encoder, to check what becomes of the target prompts in full
            precision; None checks them by the rounded features of the concepts' files.

    Returns:
        The merged concept. Its update is factored, its right factor orthonormal, but for "sum".

    Raises:
        BaseMismatchError: The concepts, or the statistics, are of different bases.
        ConfigError: A weight or the penalty is impossible.
        MergeError: The merge is ill-posed.
    """
    weights = [1.0] * len(all_inputs) if weights is None else list(weights)
    _check_settings(all_inputs, weights, penalty, updates, method)
    check_bases(all_inputs, statistics)
    parts, renamed, notes = arrange(all_inputs, weights, updates)
    all_inputs = [part.inputs for part in parts]
    update, report = _merged(parts, statistics, method, penalty, encoder)
    refusal = check_merge(report, all_inputs, statistics)
    if refusal is None and method == "ridge":
        # Of nearly equal targets a ridge merge takes the mean of what is wanted, without a word.
        refusal = check_merge(_met_exactly(report, parts, statistics), all_inputs, statistics)
    if refusal is not None and not allow_ill_posed:
        raise MergeError(refusal)
    notes += [] if refusal is None else [refusal]
    notes += precision_notes(report, all_inputs)
    return _finish(name, update, parts, replace(report, renamed=renamed, notes=tuple(notes)))


def _merged(
    parts: Sequence[Part],
    statistics: CaptionStatistics,
    method: MergeMethod,
    penalty: float,
    encoder: TextEncoder | None,
) -> tuple[Update, MergeReport]:
    figures: dict[str, Any] = {}
    if method == "sum":
        update = _summed(parts)
    elif method == "ridge":
        update, figures = _ridge(parts, statistics, penalty)
    else:
        update, figures = _constrained(parts, statistics)
    alone = figures.pop("alone", [None] * len(parts))
    return update, MergeReport(
        method=method,
        concepts=tuple(
            _error(part, update, energy, encoder) for part, energy in zip(parts, alone, strict=True)
        ),
        captions=statistics.captions,
        caption_condition=statistics.condition,
        drift=drift(update, statistics),
        **figures,
    )


def _check_settings(
    all_inputs: Sequence[MergeInputs],
    weights: Sequence[float],
    penalty: float,
    updates: Sequence[Update] | None,
    method: MergeMethod,
) -> None:
    if not all_inputs or len(weights) != len(all_inputs):
        raise ConfigError(
            f"{len(all_inputs)} concepts and {len(weights)} weights; give one weight for each of "
            "one or more concepts"
        )
    if not all(math.isfinite(weight) for weight in weights):
        raise ConfigError(f"weights are {list(weights)}, expected finite numbers")
    if not 0 < penalty < math.inf:
        raise ConfigError(
            f"the penalty is {penalty}, expected a number above 0; near 0 gives the concepts all "
            "their way, as 'constrained' does"
        )
    if method == "sum" and (updates is None or len(updates) != len(all_inputs)):
        raise ConfigError("a sum needs the update of each concept; load the whole concepts")
    without = [inputs.name for inputs in all_inputs if inputs.sketch is None]
    if method == "ridge" and without:
        raise MergeError(
            f"concept {without[0]!r} has no sketch, its file is of an older version; save it again "
            "with its base, or merge with method 'constrained'"
        )


def _constrained(
    parts: Sequence[Part], statistics: CaptionStatistics
) -> tuple[Update, dict[str, Any]]:
    asked = Targets.of(parts, statistics)
    targets, products, values = asked.distinct()
    solution = solve(targets, statistics.factor)
    merged = float((solution.filtered.T @ products @ solution.filtered).trace())
    return _update(solution, values), {
        "rank": len(solution.kept),
        "dropped": solution.dropped,
        "target_condition": solution.condition,
        "amplification": asked.amplification(merged),
        "alone": [math.sqrt(energy / statistics.base_energy) for energy in asked.alone],
    }


def _met_exactly(
    report: MergeReport, parts: Sequence[Part], statistics: CaptionStatistics
) -> MergeReport:
    """Return the report with what the constrained merge of the same concepts would say."""
    asked = Targets.of(parts, statistics)
    return replace(
        report,
        method="constrained",
        amplification=asked.amplification(least_energy(asked.whitened, asked.products)),
        concepts=tuple(
            replace(error, constraint=missed, exact=None)
            for error, missed in zip(report.concepts, asked.missed(), strict=True)
        ),
    )


def _ridge(
    parts: Sequence[Part], statistics: CaptionStatistics, penalty: float
) -> tuple[Update, dict[str, Any]]:
    sketches = [
        (part.weight, part.inputs.sketch.leading(_MOST_DIRECTIONS * len(part.subjects)))
        for part in parts
        if part.inputs.sketch is not None
    ]
    features = torch.cat([sketch.features for _, sketch in sketches])
    values = torch.cat([weight * sketch.values for weight, sketch in sketches])
    solution = solve(whitened(features, statistics.factor), statistics.factor, penalty)
    return _update(solution, values), {
        "penalty": penalty,
        "rank": len(solution.kept),
        "dropped": solution.dropped,
        "target_condition": solution.condition,
    }


def _update(solution: Solution, values: Tensor) -> Update:
    left = applied(solution.mix, values)
    return FactoredUpdate(((left, solution.right.float().contiguous()),))


def _summed(parts: Sequence[Part]) -> Update:
    weighted = [part.update.scaled(part.weight) for part in parts if part.update is not None]
    whole = [
        update.pairs[0]
        for update in weighted
        if isinstance(update, FactoredUpdate) and len(update.pairs) == 1
    ]
    if len(whole) == len(weighted):
        lefts, rights = zip(*whole, strict=True)
        return FactoredUpdate(((torch.cat(lefts, dim=1), torch.cat(rights)),))
    return DenseUpdate(torch.stack([update.dense() for update in weighted]).sum(dim=0))


def _error(
    part: Part, update: Update, alone: float | None, encoder: TextEncoder | None
) -> ConceptError:
    inputs = part.inputs
    exact = None
    if encoder is not None:
        features = target_features(encoder, inputs.subjects, inputs.tokens)
        exact = residual(
            update, Rows(features=features, values=inputs.constraint.values), part.weight
        )
    return ConceptError(
        name=inputs.name,
        weight=part.weight,
        phrases=tuple(subject.phrase for subject in part.subjects),
        constraint=residual(update, inputs.constraint, part.weight),
        held_out=None
        if inputs.held_out is None
        else residual(update, inputs.held_out, part.weight),
        drift_alone=alone,
        exact=exact,
    )


def _finish(name: str | None, update: Update, parts: Sequence[Part], report: MergeReport) -> Merge:
    first = parts[0].inputs
    concept = Concept(
        name=name or "+".join(part.inputs.name for part in parts),
        update=update,
        tokens={token: row for part in parts for token, row in part.tokens.items()},
        subjects=tuple(subject for part in parts for subject in part.subjects),
        base_name=first.base_name,
        base_fingerprint=first.base_fingerprint,
        metrics={"merge": report.as_json()},
        parents=tuple(
            {
                "name": part.inputs.name,
                "weight": part.weight,
                "digest": part.inputs.digest,
                "subjects": [asdict(subject) for subject in part.inputs.subjects],
            }
            for part in parts
        ),
    )
    return Merge(concept=concept, features=_features(parts), report=report)


def _features(parts: Sequence[Part]) -> MergeFeatures:
    """Return the features of all parts: text features do not change with a token's name."""

    def joined(name: str) -> Tensor | None:
        found = [part.inputs.rows[name].features for part in parts if name in part.inputs.rows]
        return torch.cat(found) if len(found) == len(parts) else None

    constraint = joined("constraint")
    assert constraint is not None
    return MergeFeatures(constraint=constraint, sketch=joined("sketch"), held_out=joined("heldout"))
