"""All stages of pretraining by name, and how one is opened: with which world, weights and seed."""

import random
from pathlib import Path

import torch

from cdcore.pocket.pretraining.album import open_album
from cdcore.pocket.pretraining.autoencoder_stage import AutoencoderStage
from cdcore.pocket.pretraining.judge_stage import JudgeStage
from cdcore.pocket.pretraining.stage import Stage
from cdcore.pocket.pretraining.stage_names import StageName
from cdcore.pocket.pretraining.towers_stage import TowersStage
from cdcore.pocket.pretraining.unet_stage import UnetStage

__all__ = ["STAGE_CLASSES", "open_stage"]

STAGE_CLASSES: dict[StageName, type[AutoencoderStage | TowersStage | UnetStage | JudgeStage]] = {
    "autoencoder": AutoencoderStage,
    "towers": TowersStage,
    "unet": UnetStage,
    "judge": JudgeStage,
}
"""What each stage is."""

_JUDGE_SEED_OFFSET = 1_000_003


def open_stage(
    name: StageName, folder: Path, work: Path, pictures: int, seed: int, device: str
) -> Stage:
    """Open a stage with the weights that ``folder`` holds, or with random ones.

    Args:
        name: Which stage.
        folder: The base so far.
        work: Where albums and latents are kept.
        pictures: Pictures in the album.
        seed: Seed of the world and of the initial weights.
        device: Torch device.
    """
    if name == "judge":
        seed, pictures = seed + _JUDGE_SEED_OFFSET, pictures // 2
    album = open_album(work, seed=seed, count=pictures)
    # Initial weights come from the global generator, which no layer lets one choose.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return STAGE_CLASSES[name](folder, work, album, random.Random(seed), torch.device(device))
