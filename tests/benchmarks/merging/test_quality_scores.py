"""Tests of `benchmarks.merging.quality_scores`."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.merging.quality_cases import QualityCase
from benchmarks.merging.quality_scores import Panel, Way
from cdcore.concepts.storage import load_concept
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.pixels import to_pixels
from cdcore.pocket.drawing.individuals import render_individual
from cdcore.pocket.networks.judge import Judge

CONCEPT = Path(__file__).resolve().parents[3] / "examples" / "concepts" / "mycat.safetensors"


@pytest.fixture(scope="module")
def panel() -> Panel:
    shown = [np.asarray(image) for image, _ in render_individual("mycat", 2, 0)]
    return Panel(
        base=load_base("pocket"),
        judge=Judge.load(POCKET_FOLDER / "judge"),
        case=QualityCase(names=("mycat",), beside="table"),
        targets={"mycat": to_pixels(torch.from_numpy(np.stack(shown)))},
        seeds=(0,),
    )


def test_the_concept_itself_keeps_all_and_the_base_keeps_nothing(panel: Panel) -> None:
    concept = load_concept(CONCEPT)
    way = Way(update=concept.update, tokens=concept.tokens, phrases={"mycat": "<mycat> cat"})
    alone = panel.alone("mycat", way)
    scores, pictures = panel.score(way, {"mycat": alone})
    assert (scores.kept, scores.retention) == pytest.approx((1, 1), abs=1e-4)
    assert scores.drift > 0.01
    assert 0 <= scores.together <= 1
    assert pictures.shape == (1, 3, 3, 64, 64)
    base = Way(update=None, tokens={}, phrases={"mycat": "cat"})
    nothing, _ = panel.score(base, {"mycat": alone})
    assert (nothing.kept, nothing.drift) == pytest.approx((0, 0), abs=1e-4)
    assert nothing.retention < 1
