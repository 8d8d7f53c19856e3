"""Tests of `cdcore.pocket.pretraining.stage`."""

import random
from pathlib import Path

import torch

from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.stage import draw_prompts
from cdcore.pocket.scenes.caption import full_caption, words
from tests.cdcore.pocket.pretraining.case import PICTURES


def test_users_prompts_are_of_every_fulness_and_sometimes_odd(work: Path) -> None:
    album = open_album(work, seed=0, count=PICTURES)
    prompts = draw_prompts(album, torch.arange(PICTURES).repeat(20), random.Random(0))
    known = set(words())
    odd = [not known.issuperset(text.split()) for text in prompts]
    assert 0.05 < sum(odd) / len(odd) < 0.16
    full = {full_caption(scene) for scene in album.scenes}
    assert 0.35 < sum(text in full for text in prompts) / len(prompts) < 0.75
