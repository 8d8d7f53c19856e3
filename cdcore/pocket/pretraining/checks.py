"""Checks before a piece of pretraining starts, so that nothing half made is left behind."""

from pathlib import Path

from cdcore.errors import ConfigError, RunError
from cdcore.pocket.pretraining.piece import Piece, completed_steps
from cdcore.pocket.pretraining.stage_names import StageName

__all__ = ["check_piece", "is_complete"]

_NEEDS: dict[StageName, tuple[StageName, ...]] = {"unet": ("autoencoder", "towers")}
_LEAST_PICTURES = 2


def check_piece(piece: Piece) -> None:
    """Refuse a piece that cannot go well.

    Raises:
        ConfigError: A setting is impossible, or a stage comes before one that it builds on.
        RunError: The folder holds something else than a base of these stages.
    """
    if not piece.stages or len(set(piece.stages)) < len(piece.stages):
        raise ConfigError(f"stages are {list(piece.stages)}, expected one or more, none twice")
    if piece.seconds is not None and not piece.seconds > 0:
        raise ConfigError(f"seconds is {piece.seconds}, expected a number above 0")
    if piece.pictures < _LEAST_PICTURES:
        raise ConfigError(f"pictures is {piece.pictures}, expected {_LEAST_PICTURES} or more")
    for name, steps in (piece.steps or {}).items():
        if steps < 1:
            raise ConfigError(f"steps of the stage {name} is {steps}, expected 1 or more")
    done = completed_steps(piece.folder)
    # What is hidden are leftovers of pieces that were killed.
    if not done and any(not path.name.startswith(".") for path in piece.folder.glob("*")):
        raise RunError(
            f"{piece.folder} exists and holds no base in progress; choose another --output"
        )
    for position, name in enumerate(piece.stages):
        ready = {*piece.stages[:position], *(stage for stage, steps in done.items() if steps)}
        missing = [need for need in _NEEDS.get(name, ()) if need not in ready]
        if missing:
            raise ConfigError(
                f"the stage {name} builds on {' and '.join(missing)}; run them first, or name them "
                "before it in --stages"
            )


def is_complete(folder: Path) -> bool:
    """Return whether the base in ``folder`` has every part that sampling needs."""
    done = completed_steps(folder)
    return all(done.get(name) for name in ("autoencoder", "towers", "unet"))
