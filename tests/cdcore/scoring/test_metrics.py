import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdcore.scoring.metrics import clip_score, image_alignment, prior_drift, text_alignment


def unit_rows(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 8, generator=generator), dim=-1)


def test_image_alignment_is_the_mean_cosine_of_all_pairs() -> None:
    generated, targets = unit_rows(3, 0), unit_rows(5, 1)
    cosines = [float(row @ other) for row in generated for other in targets]
    assert image_alignment(generated, targets) == pytest.approx(sum(cosines) / 15, abs=1e-6)
    assert image_alignment(targets[[0, 0]], targets[:1]) == pytest.approx(1, abs=1e-6)


def test_text_alignment_pairs_each_picture_with_its_own_prompt() -> None:
    prompts = torch.eye(4)
    assert text_alignment(prompts, prompts) == 1
    assert text_alignment(prompts.roll(1, 0), prompts) == 0


def test_the_clip_score_is_two_and_a_half_times_the_cosine_and_never_negative_for_a_picture() -> (
    None
):
    pictures = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    prompts = torch.tensor([[0.6, 0.8], [-1.0, 0.0], [0.6, 0.8]])
    # By hand: 2.5 * 0.6, then 0 for the opposite one, then 2.5 * 0.8.
    assert clip_score(pictures, prompts) == pytest.approx((1.5 + 0 + 2.0) / 3)
    assert text_alignment(pictures, prompts) == pytest.approx((0.6 - 1 + 0.8) / 3)


def test_prior_drift_is_zero_for_the_same_pictures_and_two_for_opposite_ones() -> None:
    rows = unit_rows(6, 0)
    assert prior_drift(rows, rows) == pytest.approx(0, abs=1e-6)
    assert prior_drift(rows, -rows) == pytest.approx(2, abs=1e-6)
    turned = torch.tensor([[math.cos(1.0), math.sin(1.0)]])
    assert prior_drift(torch.tensor([[1.0, 0.0]]), turned) == pytest.approx(1 - math.cos(1.0))
