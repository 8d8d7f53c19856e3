"""The folder of a training script: which of its files holds the concept, as of its last step.

    delta.bin, delta-500.bin, delta-1000.bin                    Adobe's diffusers scripts
    checkpoints/delta_epoch=000004.ckpt                         the original implementation
    pytorch_custom_diffusion_weights.bin, checkpoint-500/...    diffusers' script

What a script writes at the end has no number; of its checkpoints the highest number is the newest,
which is not the last by name. Files are steps of one concept where their names differ in
nothing but the number at the end: ``sd15-cat`` and ``sd15-dog``, or ``<new1>`` and ``<new2>``, are
two.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cdcore.errors import ConceptFileError
from cdcore.formats.custom_diffusion import WEIGHTS_STEM

__all__ = ["FoundWeights", "find_weights"]

_WHOLE = (f"{WEIGHTS_STEM}.bin", f"{WEIGHTS_STEM}.safetensors")
_DELTAS = ("delta*.bin", "delta*.ckpt")
_STATES = ("model.safetensors", "pytorch_model.bin")
"""What accelerate calls the weights in a checkpoint of diffusers' script."""
_COMPRESSED = ("compressed_delta*.bin", "compressed_delta*.ckpt")
_CHECKPOINT = re.compile(r"(checkpoint|step|epoch)s?[-_]?\d+", re.IGNORECASE)
_SUFFIXES = {".safetensors", ".bin", ".ckpt", ".pt", ".pth"}
_STEP = re.compile(
    r"(?:[-_.\s]*(?:global)?_?(?:checkpoint|ckpt|epoch|step|iteration|iter)s?[-_=.\s]*\d+(?:-v\d+)?"
    r"|(?:[-_\s]|(?<!\d)\.)\d+)+$",
    re.IGNORECASE,
)
"""The end of a name that says which step it is of: a number apart, or one that is named. A second
file of one step is called -v1 by Lightning. What ends in ``1.5`` is a version of something."""
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
    """Find the newest weights in a folder; upper case in names does not matter.

    Raises:
        ConceptFileError: There are none, or several files that are not steps of one.
    """
    found = _candidates(folder) or _only_series(folder)
    newest, *older = found
    note = f"{newest.relative_to(folder)} of this folder is read"
    if older:
        note += f", the newest; not {_listed(folder, older)}"
    return FoundWeights(path=newest, note=note)


def _candidates(folder: Path) -> list[Path]:
    """Return what is named as scripts name it, the newest first."""
    whole = _matching(folder, _WHOLE)
    deltas = [*_matching(folder, _DELTAS), *_matching(folder / "checkpoints", _DELTAS)]
    checkpoints = [
        path for path in folder.iterdir() if path.is_dir() and _CHECKPOINT.fullmatch(path.name)
    ]
    inside = {path: _weights_in(path) for path in checkpoints}
    with_weights = _newest_first(path for path in checkpoints if inside[path])
    compressed = _matching(folder, _COMPRESSED)
    if not whole:
        # Only what is read must be clear: what comes after it is merely named.
        _check_one_series(folder, deltas or with_weights or compressed)
    if with_weights and not whole and not deltas:
        newest = with_weights[0]
        _check_one_series(newest, _matching(newest, _DELTAS))
    return [
        *whole,
        *_newest_first(deltas),
        *(path for checkpoint in with_weights for path in inside[checkpoint]),
        *_newest_first(compressed),
    ]


def _weights_in(checkpoint: Path) -> list[Path]:
    return [
        *_matching(checkpoint, _WHOLE),
        *_newest_first(_matching(checkpoint, _DELTAS)),
        *_matching(checkpoint, _STATES),
    ]


def _only_series(folder: Path) -> list[Path]:
    """Return the files of tensors in a folder where all are one, or steps of one."""
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise ConceptFileError(
            f"{folder}: no delta file or {WEIGHTS_STEM} in this folder; give the file itself"
        )
    _check_one_series(folder, files)
    if len({tuple(_step(path)) for path in files}) < len(files):
        raise _unclear(folder, files)
    return _newest_first(files)


def _check_one_series(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse names that differ in more than the number of a step.

    Raises:
        ConceptFileError: Lists them.
    """
    ends = [_STEP.search(_stem(path)) for path in paths]
    heads = {
        _stem(path)[: None if end is None else end.start()].lower()
        for path, end in zip(paths, ends, strict=True)
    }
    # The last file of a series has no number.
    shapes = {
        re.sub(r"(-v)?\d+", lambda found: "" if found[1] else "0", end[0]).lower()
        for end in ends
        if end is not None
    }
    if len(heads) > 1 or len(shapes) > 1:
        raise _unclear(folder, paths)


def _unclear(folder: Path, paths: Sequence[Path]) -> ConceptFileError:
    return ConceptFileError(
        f"{folder}: holds {_listed(folder, sorted(paths))}, of which any may be meant; give the "
        "file itself"
    )


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of these names, those of the first pattern first."""
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [
        path for pattern in patterns for path in files if fnmatchcase(path.name.lower(), pattern)
    ]


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    # Stable: of two without numbers the pattern that stands first wins.
    return sorted(paths, key=_step, reverse=True)


def _step(path: Path) -> list[float]:
    """Return the numbers of a name's end, as of epoch and step; infinite where there is none."""
    end = _STEP.search(_stem(path))
    return [float(number) for number in re.findall(r"\d+", end[0])] if end else [float("inf")]


def _stem(path: Path) -> str:
    """Return a file's name without the suffix of its kind; a folder may have dots in its name."""
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def _listed(folder: Path, paths: Sequence[Path]) -> str:
    names = [str(path.relative_to(folder)) for path in paths]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
