"""Teach a base model a concept from a folder of pictures, or several concepts together.

``python rayjobs/train.py --images DIR --class-noun cat --name mycat`` from a checkout, ``python -m
rayjobs.train`` where the package is installed, and either after ``ray job submit --``.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()

from cdcore.command_line.parser import parse, run_command
from rayjobs.config.training import FIELD_GROUPS, STAND_INS, TrainJob


def _demo() -> Path:
    """Return the example's configuration: beside the packages in a checkout, else installed."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "examples" / "demo.yaml"
    return checkout if checkout.is_file() else here / "examples" / "demo.yaml"


def main() -> None:
    """Parse the command line and train."""
    job = parse(
        TrainJob,
        prog="train.py",
        description="Teach a base model a new concept from a folder of pictures.",
        groups=FIELD_GROUPS,
        stand_ins=STAND_INS,
        default_file=_demo(),
    )
    # Ray and the model libraries take seconds to import: what needs neither should not wait.
    from rayjobs.refusals.training import check_training

    check_training(job)
    from rayjobs.training.driver import train

    train(job)


if __name__ == "__main__":
    run_command(main)
