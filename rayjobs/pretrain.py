"""Pretrain the pocket base from nothing, or continue one: ``python rayjobs/pretrain.py``."""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()


from cdcore.command_line.parser import parse, run_command
from rayjobs.config.pretraining import PretrainJob
from rayjobs.training.pretrain_driver import run

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    run(
        parse(
            PretrainJob,
            prog="pretrain.py",
            description="Pretrain the pocket base on its own drawn world, or continue one.",
            groups={
                "training": ("steps", "pictures", "seed"),
                "cluster": ("workers", "device", "cache"),
            },
        )
    )


if __name__ == "__main__":
    run_command(main)
