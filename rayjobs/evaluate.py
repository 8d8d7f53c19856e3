"""Evaluate concepts, joint training and merges on a set of concepts.

``python rayjobs/evaluate.py --dataset DIR --base pocket --preset quick`` from a checkout, and the
same after ``ray job submit --``. `rayjobs/pocket_set.py` makes a set of the pocket world.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()

from cdcore.command_line.parser import parse, run_command
from rayjobs.config.evaluation import FIELD_GROUPS, EvaluateJob

__all__ = ["main"]


def main() -> None:
    """Parse the command line and evaluate."""
    job = parse(
        EvaluateJob,
        prog="evaluate.py",
        description="Evaluate concepts, joint training and merges on a set of concepts in the "
        "layout of CustomConcept101.",
        groups=FIELD_GROUPS,
    )
    # Ray and the model libraries take seconds to import: what needs neither should not wait.
    from rayjobs.refusals.evaluation import check_evaluation

    check_evaluation(job)
    from rayjobs.evaluation.driver import evaluate

    try:
        evaluate(job)
    except KeyboardInterrupt:
        sys.stderr.write("the same command goes on from the finished cells\n")
        raise


if __name__ == "__main__":
    run_command(main)
