"""Merge concepts into one file, say what was kept of each, and show it.

``python rayjobs/merge.py --concepts a.safetensors b.safetensors:0.8 --output ab.safetensors``. It
runs in this process and needs no cluster.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()


from cdcore.command_line.parser import parse, run_command
from rayjobs.cli.console import plain_console
from rayjobs.config.merging import MergeJob

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    job = parse(
        MergeJob,
        prog="merge.py",
        description="Merge concepts into one file, say what was kept of each, and show it.",
        groups={
            "merging": ("method", "penalty", "captions", "allow_ill_posed", "overwrite", "export"),
            "pictures": ("pictures", "seed", "steps"),
            "base": ("base", "cache"),
        },
    )
    # What reads files and bases takes a moment to import: --help and bad flags should not wait.
    from rayjobs.local.merging import run

    run(job, plain_console(soft_wrap=True))


if __name__ == "__main__":
    run_command(main)
