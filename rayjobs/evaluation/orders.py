"""The orders of an evaluation: which concepts its cells need, and what each cell is made of.

What is ordered follows from the plan, the selection and the concept files alone, so another start
of the same evaluation orders the same cells under the same digests.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdcore.concepts.storage import load_merge_inputs
from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import SetConcept
from cdcore.evaluation.methods import Method
from cdcore.evaluation.plan import EvaluationPlan, Selection
from cdcore.merging.settings import MIX_METHODS
from rayjobs.evaluation.worker import CellOrder

__all__ = ["Names", "cell_orders", "check_nouns", "needed_concepts"]

Names = tuple[str, ...]
"""What a concept file teaches; several names for what was trained jointly."""


def needed_concepts(
    selection: Selection, methods: Sequence[Method]
) -> dict[Names, tuple[SetConcept, ...]]:
    """Return the concepts that the methods sample with, by the names of what they teach.

    Args:
        selection: What of the set is evaluated.
        methods: The methods that are compared.
    """
    wanted: dict[Names, tuple[SetConcept, ...]] = {}
    for entry in selection.singles if "single" in methods else ():
        wanted[entry.name,] = entry.concepts
    for pair in selection.pairs:
        if set(methods) & set(MIX_METHODS):
            wanted |= {(concept.name,): (concept,) for concept in pair.concepts}
        if "joint" in methods:
            wanted[tuple(concept.name for concept in pair.concepts)] = pair.concepts
    return wanted


def cell_orders(
    plan: EvaluationPlan,
    selection: Selection,
    files: Mapping[Names, Path],
    *,
    settings: Mapping[str, Any],
    penalty: float,
) -> list[CellOrder]:
    """Return what every cell is made of, in the order of the plan.

    Args:
        plan: How much of the selection.
        selection: What of the set.
        files: The concept file of each of `needed_concepts`.
        settings: What every picture depends on: the base, the sampler, the embedders.
        penalty: What ridge merges also depend on.

    Raises:
        OSError: A concept file cannot be read.
    """
    entries = {entry.name: entry for entry in (*selection.singles, *selection.pairs)}
    digests = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files.values()}
    orders = []
    for cell in plan.cells(selection):
        names = tuple(concept.name for concept in entries[cell.entry].concepts)
        own = tuple(files[key] for key in _sampled_with(cell.method, names))
        digest = cell.digest(
            {
                **settings,
                "concepts": [digests[file] for file in own],
                "penalty": penalty if cell.method == "ridge" else None,
            }
        )
        orders.append(CellOrder(cell=cell, files=own, digest=digest))
    return orders


def check_nouns(file: Path, concepts: Sequence[SetConcept]) -> None:
    """Refuse a concept file that teaches other things than the data set has under its name.

    Raises:
        ConfigError: The class nouns differ.
    """
    taught = [subject.class_noun for subject in load_merge_inputs(file).subjects]
    wanted = [concept.class_noun for concept in concepts]
    if taught != wanted:
        raise ConfigError(
            f"{file} teaches {' and '.join(taught)}, the data set has {' and '.join(wanted)} under "
            "that name; give the concepts that were trained on its pictures"
        )


def _sampled_with(method: Method, names: Names) -> list[Names]:
    if method in ("single", "joint"):
        return [names]
    return [(name,) for name in names] if method in MIX_METHODS else []
