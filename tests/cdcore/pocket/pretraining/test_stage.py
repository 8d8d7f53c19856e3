"""Tests of `cdcore.pocket.pretraining.stage`."""

import random
from pathlib import Path

import torch
from torch.nn import functional

from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.stage import draw_prompts, matching_loss
from cdcore.pocket.scenes.caption import full_caption, words
from tests.cdcore.pocket.pretraining.stage_case import PICTURES


def test_users_prompts_are_of_every_fulness_and_sometimes_odd(work: Path) -> None:
    album = open_album(work, seed=0, count=PICTURES)
    prompts = draw_prompts(album, torch.arange(PICTURES).repeat(20), random.Random(0))
    known = set(words())
    odd = [not known.issuperset(text.split()) for text in prompts]
    assert 0.05 < sum(odd) / len(odd) < 0.16
    full = {full_caption(scene) for scene in album.scenes}
    assert 0.35 < sum(text in full for text in prompts) / len(prompts) < 0.75


def test_the_matching_loss_is_least_where_each_picture_meets_its_own_text() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = functional.normalize(torch.randn(6, 8, generator=generator), dim=-1)
    scale = torch.tensor(3.0)
    own, other = matching_loss(rows, rows, scale), matching_loss(rows, rows.roll(1, 0), scale)
    assert own < other
    torch.testing.assert_close(
        matching_loss(rows, rows.flip(0), scale), matching_loss(rows.flip(0), rows, scale)
    )
