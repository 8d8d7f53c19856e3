"""Tests of `serve.concepts.merger`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.errors import ConfigError, UnknownConceptError
from cdcore.merging.caption_statistics import CaptionStatistics
from cdcore.merging.merge import merge
from cdcore.merging.settings import MergeMethod
from cdcore.model.base import Base
from serve.concepts.merger import ConceptMerger
from serve.concepts.mix import ConceptRef
from serve.concepts.preparation import MergePart
from tests.serve.service_case import save_mergeable, statistics_of

CAT, CHAIR = ConceptRef("mycat", "1-a"), ConceptRef("mychair", "1-b")


@pytest.fixture(scope="module")
def files(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return save_mergeable(tiny_base, tmp_path_factory.mktemp("mergeable"))


@pytest.fixture(scope="module")
def statistics(tiny_base: Base) -> CaptionStatistics:
    return statistics_of(tiny_base)


@pytest.fixture
def merger(statistics: CaptionStatistics, files: Mapping[str, Path]) -> ConceptMerger:
    return ConceptMerger(statistics, lambda reference: load_merge_inputs(files[reference.name]))


def parts(files: Mapping[str, Path], weights: Mapping[ConceptRef, float]) -> list[MergePart]:
    return [
        MergePart(reference, load_concept(files[reference.name]), weight)
        for reference, weight in weights.items()
    ]


@pytest.mark.parametrize("method", ["constrained", "ridge", "sum"])
def test_it_is_the_merge_of_the_command_line(
    merger: ConceptMerger,
    statistics: CaptionStatistics,
    files: Mapping[str, Path],
    method: MergeMethod,
) -> None:
    weights = {CAT: 1.0, CHAIR: 0.6}
    found = merger(parts(files, weights), method)
    names = [reference.name for reference in weights]
    wanted = merge(
        [load_merge_inputs(files[name]) for name in names],
        statistics,
        list(weights.values()),
        method=method,
        updates=[load_concept(files[name]).update for name in names],
    )
    assert found.update is not None
    assert torch.equal(found.update.dense(), wanted.concept.update.dense())
    assert set(found.tokens) == {"<mycat>", "<mychair>"}
    assert found.residuals["drift"] == wanted.report.drift
    assert set(found.residuals) == {
        "drift",
        *(f"{name}.{what}" for name in names for what in ("constraint", "held_out")),
    }
    assert (found.residuals["mycat.constraint"] < 1e-3) == (method == "constrained")


def test_an_update_in_half_precision_merges_as_it_was_read(
    merger: ConceptMerger, files: Mapping[str, Path]
) -> None:
    whole = parts(files, {CAT: 1.0, CHAIR: 1.0})
    halved = [
        part._replace(
            concept=replace(part.concept, update=part.concept.update.to("cpu", torch.float16))
        )
        for part in whole
    ]
    first, second = (merger(given, "sum").update for given in (whole, halved))
    assert first is not None
    assert second is not None
    assert torch.equal(first.dense(), second.dense())


def test_impossible_merges_are_refused(
    statistics: CaptionStatistics, files: Mapping[str, Path]
) -> None:
    def forgotten(reference: ConceptRef) -> MergeInputs:
        raise UnknownConceptError(f"there is no {reference.name}")

    merger = ConceptMerger(statistics, forgotten)
    given = parts(files, {CAT: 1.0, CHAIR: 1.0})
    with pytest.raises(ConfigError, match="merge is 'median', expected one of constrained"):
        merger(given, "median")
    with pytest.raises(UnknownConceptError, match="mycat"):
        merger(given, "ridge")
