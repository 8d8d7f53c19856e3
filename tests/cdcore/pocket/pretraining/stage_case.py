"""Stages that are opened on a small world, for the tests of each of them."""

from pathlib import Path

from cdcore.pocket.pretraining.stage import Stage
from cdcore.pocket.pretraining.stage_names import StageName
from cdcore.pocket.pretraining.stages import open_stage

__all__ = ["BATCH", "PICTURES", "opened"]

BATCH = 6
PICTURES = 16


def opened(name: StageName, folder: Path, work: Path) -> Stage:
    """Open a stage on the CPU."""
    return open_stage(name, folder, work, PICTURES, 0, "cpu")
