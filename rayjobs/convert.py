"""Convert a concept to and from the files of other tools.

``python rayjobs/convert.py delta.bin mycat.safetensors --to concept --base sd1.4 --class-noun cat``
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()


from cdcore.command_line.parser import parse, run_command
from rayjobs.cli.console import plain_console
from rayjobs.config.conversion import RULES, ConvertJob

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    job = parse(
        ConvertJob,
        prog="convert.py",
        description="Convert a concept: convert.py SOURCE OUTPUT --to FORMAT.",
        groups={"compression": RULES},
        leading=("source", "output"),
    )
    # What reads files and bases takes a moment to import: --help and bad flags should not wait.
    from rayjobs.local.conversion import run

    run(job, plain_console(soft_wrap=False))


if __name__ == "__main__":
    run_command(main)
