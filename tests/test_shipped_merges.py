"""The concepts that the project ships merge as a user merges them, with no setting."""

from pathlib import Path

import pytest

from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import MergeSettings, MixMethod
from cdcore.model.base import Base
from cdcore.model.loading import load_base

EXAMPLES = sorted((Path(__file__).parent.parent / "examples/concepts").glob("*.safetensors"))


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("pocket")


@pytest.mark.parametrize("method", ["ridge", "constrained"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 0.2, -0.3)])
def test_all_at_once_at_any_weights(
    method: MixMethod,
    weights: tuple[float, ...],
    base: Base,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    files = list(zip(EXAMPLES, weights, strict=True))
    settings = MergeSettings(method=method, cache=tmp_path_factory.getbasetemp() / "statistics")
    merged = merge_files(files, settings, base=base)
    assert not merged.remarks
    assert all(error.held_out is not None for error in merged.report.concepts)
