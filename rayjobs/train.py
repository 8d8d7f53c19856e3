"""Teach a base model a concept from a folder of pictures, or several concepts together.

``python rayjobs/train.py --images DIR --class-noun cat --name mycat``
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.quiet import silence

silence()

from rayjobs.cli import parse, run_command
from rayjobs.train_job import FIELD_GROUPS, STAND_INS, TrainJob


def main() -> None:
    """Parse the command line and train."""
    job = parse(
        TrainJob,
        prog="train.py",
        description="Teach a base model a new concept from a folder of pictures.",
        groups=FIELD_GROUPS,
        stand_ins=STAND_INS,
        default_file=Path(__file__).resolve().parent.parent / "examples" / "demo.yaml",
    )
    # Ray and the model libraries take seconds to import: --help and bad flags should not wait.
    from rayjobs.train_driver import train

    train(job)


if __name__ == "__main__":
    run_command(main)
