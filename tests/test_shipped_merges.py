"""The concepts that the project ships merge as a user merges them, with no setting."""

from pathlib import Path

import pytest

from cdcore.base import Base, load_base
from rayjobs.blend import make_blend
from rayjobs.blend_settings import BlendMethod, BlendSettings

EXAMPLES = sorted((Path(__file__).parent.parent / "examples/concepts").glob("*.safetensors"))


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("pocket")


@pytest.mark.parametrize("method", ["ridge", "constrained"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 0.2, -0.3)])
def test_all_at_once_at_any_weights(
    method: BlendMethod,
    weights: tuple[float, ...],
    base: Base,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    files = list(zip(EXAMPLES, weights, strict=True))
    settings = BlendSettings(method=method, cache=tmp_path_factory.getbasetemp() / "statistics")
    blend = make_blend(files, settings, base=base)
    assert not blend.remarks
    assert all(error.held_out is not None for error in blend.report.concepts)
