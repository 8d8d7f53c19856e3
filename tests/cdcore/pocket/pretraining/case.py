"""Stages with small batches on a small album."""

from pathlib import Path

import torch

from cdcore.pocket.pretraining.stage import Stage
from cdcore.pocket.pretraining.stage_names import StageName
from cdcore.pocket.pretraining.stages import open_stage

BATCH = 6


PICTURES = 16


def opened(name: StageName, folder: Path, work: Path) -> Stage:
    with torch.random.fork_rng():
        return open_stage(name, folder, work, PICTURES, 0, "cpu")
