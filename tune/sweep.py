"""Search for the settings that teach a concept best.

``python tune/sweep.py --config examples/sweep.yaml`` from a checkout, ``python -m tune.sweep``
where the package is installed, and either after ``ray job submit --``.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()

from cdcore.command_line.parser import parse, run_command
from rayjobs.config.training import STAND_INS
from tune.plan.job import FIELD_GROUPS, SweepJob


def main() -> None:
    """Parse the command line and sweep."""
    job = parse(
        SweepJob,
        prog="sweep.py",
        description="Search for the settings that teach a base model a concept best.",
        groups=FIELD_GROUPS,
        stand_ins=STAND_INS,
    )
    # Ray and the model libraries take seconds to import: --help and bad flags should not wait.
    from tune.running.driver import sweep

    sweep(job)


if __name__ == "__main__":
    run_command(main)
