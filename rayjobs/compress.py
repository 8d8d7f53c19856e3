"""Compress a concept file: low-rank factors, and what they lose in each matrix.

``python rayjobs/compress.py mycat.safetensors small.safetensors --size 5``
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()


from cdcore.command_line.parser import parse, run_command
from rayjobs.cli.console import plain_console
from rayjobs.config.file_compression import RULES, CompressJob

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    job = parse(
        CompressJob,
        prog="compress.py",
        description="Compress a concept file: compress.py SOURCE OUTPUT --rank, --energy, --mass "
        "or --size.",
        groups={"compression": (*RULES, "scope")},
        leading=("source", "output"),
    )
    # What reads files and bases takes a moment to import: --help and bad flags should not wait.
    from rayjobs.local.file_compression import run

    run(job, plain_console(soft_wrap=False))


if __name__ == "__main__":
    run_command(main)
