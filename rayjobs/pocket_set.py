"""Make a set of concepts from the pocket world, in the layout of CustomConcept101.

``python rayjobs/pocket_set.py --output runs/pocket-set``; `rayjobs/evaluate.py` reads it.
"""

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from rayjobs.cli.quiet_start import silence

silence()

from dataclasses import dataclass

from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError, one_line
from rayjobs.cli.output_checks import check_place
from rayjobs.cli.progress_bar import bar

__all__ = ["PocketSetJob", "main", "run"]

_MOST_PER_KIND = 100
"""A kind has 112 patterned looks: eight colours, seven others on them, two patterns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PocketSetJob:
    """What to make.

    Raises:
        ConfigError: A setting is impossible.
    """

    output: Path = Path("runs/pocket-set")
    """Folder to write to; what is missing there is made."""
    per_kind: int = 2
    """Individuals of each of the eleven kinds of things."""
    pictures: int = 8
    """Of each individual."""
    real: int = 100
    """Real pictures of each kind, with captions, for KID; the paper has 500."""

    def __post_init__(self) -> None:
        """Refuse impossible sizes."""
        for name, least in (("per_kind", 1), ("pictures", 1), ("real", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}, expected {least} or more")
        if self.per_kind > _MOST_PER_KIND:
            raise ConfigError(
                f"--per-kind is {self.per_kind}, expected {_MOST_PER_KIND} or less, so that "
                "all look different"
            )


def run(job: PocketSetJob) -> None:
    """Make the set and say what it holds.

    Raises:
        ConfigError: The folder cannot be used.
        OSError: A file cannot be written.
    """
    # The renderer takes seconds to import: what needs none should not wait.
    from rayjobs.runs.result_paths import result_folder

    folder = result_folder(job.output, "--output")
    check_place(folder)
    from cdcore.evaluation.dataset import read_concept_set
    from cdcore.evaluation.pocket_dataset import PocketSet

    made = PocketSet(per_kind=job.per_kind, pictures=job.pictures, real=job.real)
    with bar("drawing", "pictures") as advance:
        made.write(folder, advance)
    read = read_concept_set(folder)
    sys.stdout.write(
        f"{len(read.singles)} concepts and {len(read.pairs)} pairs: {one_line(folder)}\n"
    )


def main() -> None:
    """Run the command."""
    run(
        parse(
            PocketSetJob,
            prog="pocket_set.py",
            description="Make a set of concepts from the pocket world, in the layout of "
            "CustomConcept101.",
        )
    )


if __name__ == "__main__":
    run_command(main)
