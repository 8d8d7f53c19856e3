"""The folder of a training script: which of its files holds the concept, as of its last step.

    delta.bin, delta-500.bin, delta-1000.bin                    Adobe's diffusers scripts
    checkpoints/delta_epoch=000004.ckpt                         the original implementation
    pytorch_custom_diffusion_weights.bin, checkpoint-500/...    diffusers' script

What a script writes at the end has no number; of its checkpoints the highest number is the newest,
which is not the last by name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import ConceptFileError
from cdcore.formats.custom_diffusion import WEIGHTS_STEM

__all__ = ["FoundWeights", "find_weights"]

_WHOLE = (f"{WEIGHTS_STEM}.bin", f"{WEIGHTS_STEM}.safetensors")
_DELTAS = ("delta*.bin", "delta*.ckpt", "checkpoints/delta*.ckpt", "checkpoints/delta*.bin")
_STATES = ("model.safetensors", "pytorch_model.bin")
"""What accelerate calls the weights in a checkpoint of diffusers' script."""
_COMPRESSED = ("compressed_delta*.bin", "compressed_delta*.ckpt")
_CHECKPOINT = re.compile(r"(checkpoint|step|epoch)s?[-_]?\d+", re.IGNORECASE)
_SUFFIXES = {".safetensors", ".bin", ".ckpt", ".pt", ".pth"}
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundWeights:
    """The file to read.

    Attributes:
        path: Its path.
        note: One line that says which it is, and which others it was preferred to.
    """

    path: Path
    note: str


def find_weights(folder: Path) -> FoundWeights:
    """Find the newest weights in a folder.

    Raises:
        ConceptFileError: There are none, or several files of different names.
    """
    found = _candidates(folder) or _only_series(folder)
    newest, *older = found
    note = f"{newest.relative_to(folder)} of this folder is read"
    if older:
        note += f", the newest; not {_listed(folder, older)}"
    return FoundWeights(path=newest, note=note)


def _candidates(folder: Path) -> list[Path]:
    """Return what is named as scripts name it, the newest first."""
    whole = [folder / name for name in _WHOLE if (folder / name).is_file()]
    deltas = _newest_first(_matching(folder, _DELTAS))
    checkpoints = _newest_first(
        path for path in folder.iterdir() if path.is_dir() and _CHECKPOINT.fullmatch(path.name)
    )
    inside = [
        path
        for checkpoint in checkpoints
        for path in (
            *(checkpoint / name for name in _WHOLE),
            *_newest_first(_matching(checkpoint, _DELTAS)),
            *(checkpoint / name for name in _STATES),
        )
        if path.is_file()
    ]
    return [*whole, *deltas, *inside, *_newest_first(_matching(folder, _COMPRESSED))]


def _only_series(folder: Path) -> list[Path]:
    """Return the files of tensors in a folder where all are one, or steps of one."""
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise ConceptFileError(
            f"{folder}: no delta file or {WEIGHTS_STEM} in this folder; give the file itself"
        )
    if len({re.split(r"[-_.]?\d", path.stem)[0] for path in files}) > 1:
        raise ConceptFileError(
            f"{folder}: holds {_listed(folder, files)}, of which any may be meant; give the file "
            "itself"
        )
    return _newest_first(files)


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    # Stable: of two without numbers the pattern that stands first wins.
    return sorted(paths, key=_step, reverse=True)


def _step(path: Path) -> list[float]:
    """Return the numbers in a name, such as of epoch and step; infinite where there is none."""
    return [float(number) for number in re.findall(r"\d+", path.stem)] or [float("inf")]


def _listed(folder: Path, paths: list[Path]) -> str:
    names = [str(path.relative_to(folder)) for path in paths]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
