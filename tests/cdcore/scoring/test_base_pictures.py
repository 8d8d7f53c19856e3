from dataclasses import replace
from pathlib import Path

import torch

from cdcore.model.base import Base
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.base_pictures import load_base_pictures, save_base_pictures
from cdcore.scoring.before_after import PROMPTS


def test_each_picture_is_what_the_base_makes_of_its_noun_prompt_and_seed(
    tiny_base: Base, tmp_path: Path
) -> None:
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))
    path = tmp_path / "base.safetensors"
    save_base_pictures(path, base, ("cat", "chair"), seeds=(4, 9))
    pixels = load_base_pictures(path)
    assert pixels.shape == (2, 2, len(PROMPTS), 3, 64, 64)
    request = Request.of_profile(base, PROMPTS[2].format("chair"), 9)
    torch.testing.assert_close(pixels[1, 1, 2], sample(base, [request])[0], rtol=0, atol=1e-4)
