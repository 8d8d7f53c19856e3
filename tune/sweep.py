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
from tune.plan.search_space import check_space, most_of


def main() -> None:
    """Parse the command line and sweep."""
    job = parse(
        SweepJob,
        prog="sweep.py",
        description="Search for the settings that teach a base model a concept best.",
        groups=FIELD_GROUPS,
        stand_ins=STAND_INS,
    )
    # Ray and the model libraries take seconds to import: what needs neither should not wait.
    from rayjobs.refusals.training import check_training

    most = most_of(job.space, "regularization_images", 0)
    config = check_training(job.training, most_regularization=most)
    check_space(job.space, config, job.workers)
    from tune.running.driver import sweep

    sweep(job)


if __name__ == "__main__":
    run_command(main)
