"""Sample pictures from prompts: a grid, and single files with their settings inside.

It runs in this process and needs no cluster.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()


from cdcore.command_line.parser import parse, run_command
from rayjobs.config.sampling import SampleJob

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    job = parse(
        SampleJob,
        prog="sample.py",
        description="Sample pictures from prompts: a grid of all, and single files with their "
        "settings inside.",
        groups={
            "sampling": ("seed", "steps", "guidance", "sampler"),
            "merging": ("method", "penalty", "captions", "allow_ill_posed", "cache"),
            "base": ("base", "allow_other_base"),
        },
    )
    # What reads files and bases takes a moment to import: --help and bad flags should not wait.
    from rayjobs.local.sampling import run

    run(job)


if __name__ == "__main__":
    run_command(main)
