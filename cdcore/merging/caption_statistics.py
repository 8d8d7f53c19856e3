"""Caption statistics: what a base's ordinary captions look like to its text encoder, factored once.

With weighted rows ``R`` (n, d) of captions and weight ``w`` in all, ``A = R^T R / w`` is their
second moment, and for an update ``X`` (D, d) ``tr(X A X^T)`` is the mean square change of keys and
values on captions: what every merge minimises. It is factored here, once for each base and bank of
captions, as ``A + floor I = F F^T``; no merge and no layer factors it again.

n rows, d text width, D rows of the K/V stack.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cdcore.concepts.prompt_rows import RowWeights, prompt_rows
from cdcore.errors import MergeError
from cdcore.files import replacing
from cdcore.merging.caption_bank import CaptionBank
from cdcore.model.base import Base

__all__ = [
    "CAPTION_WEIGHTS",
    "CaptionStatistics",
    "caption_statistics",
    "statistics_of_rows",
    "stored_statistics",
]

CAPTION_WEIGHTS = RowWeights(start=1.0, padding=1.0)
"""The weights of the rows of captions; docs/merging.md has the measurement."""

_FLOOR = 1e-6
"""A share of the mean eigenvalue. It changes a merge by about 1e-5 and keeps constraints exact."""
_WORDS_PER_WIDTH, _WORDS_PER_CAPTION = 2, 10
_CAPTIONS_PER_CALL = 32
_STACK_ROWS_PER_BLOCK = 4096
_VERSION = 2
"""Part of the cache's key. Version 1 was computed in bfloat16 where a GPU had made it."""
_KEY = "caption_statistics"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CaptionStatistics:
    """Statistics of one base and one bank of captions, float64 on the CPU.

    Attributes:
        base_fingerprint: The fingerprint of the base.
        bank: SHA-256 of the captions and of the weights of their rows, 64 hex digits.
        captions: How many captions it is fitted to.
        factor: F, (d, d), lower triangular with a positive diagonal.
        held_out: Second moment (d, d) of the held-out captions.
        base_energy: Mean square length of a row of the base's keys and values, all layers in one,
            on held-out captions.
        condition: Condition number of the second moment before the floor.
    """

    base_fingerprint: str
    bank: str
    captions: int
    factor: Tensor
    held_out: Tensor
    base_energy: float
    condition: float


def caption_statistics(
    base: Base,
    bank: CaptionBank,
    cache: Path | None = None,
    *,
    weights: RowWeights = CAPTION_WEIGHTS,
    on_progress: Callable[[int, int], None] | None = None,
) -> CaptionStatistics:
    """Read the statistics of a base from the cache, or compute and keep them.

    Args:
        base: Its text encoder reads the captions.
        bank: The captions.
        cache: Root of the caches; None keeps nothing.
        weights: The weights of the rows of captions.
        on_progress: Called with the captions read and all of them, when they must be.

    Raises:
        MergeError: There are too few captions for the width of the text features.
        OSError: The cache cannot be written.
    """
    digest = _digest(bank, weights)
    if cache is None:
        return _compute(base, bank, digest, weights, on_progress)
    stored = stored_statistics(base.fingerprint, bank, cache, weights=weights)
    if stored is None:
        stored = _compute(base, bank, digest, weights, on_progress)
        _write(stored, _path(cache, base.fingerprint, digest))
    return stored


def stored_statistics(
    base_fingerprint: str,
    bank: CaptionBank,
    cache: Path,
    *,
    weights: RowWeights = CAPTION_WEIGHTS,
) -> CaptionStatistics | None:
    """Return statistics that the cache holds: enough to merge without the base, or None."""
    digest = _digest(bank, weights)
    try:
        with safe_open(_path(cache, base_fingerprint, digest), framework="pt") as file:
            described = json.loads((file.metadata() or {})[_KEY])
            factor, held_out = file.get_tensor("factor"), file.get_tensor("held_out")
        return CaptionStatistics(
            base_fingerprint=base_fingerprint,
            bank=digest,
            factor=factor,
            held_out=held_out,
            **described,
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        # Missing or damaged: computing them again mends it.
        return None


def statistics_of_rows(
    fitted: Tensor, held_out: Tensor, *, base_energy: float, fingerprint: str
) -> CaptionStatistics:
    """Return the statistics of rows of equal weight, from wherever they come.

    Args:
        fitted: (n, d), at least two for each column.
        held_out: (k, d).
        base_energy: Mean square length of a row of the base's keys and values.
        fingerprint: The fingerprint of the base.

    Raises:
        MergeError: There are too few rows.
    """
    _check_width(len(fitted), fitted.shape[1])
    moment = fitted.double().T @ fitted.double() / len(fitted)
    return _factored(
        moment,
        held_out=held_out.double().T @ held_out.double() / len(held_out),
        base_energy=base_energy,
        base_fingerprint=fingerprint,
        bank="",
        captions=0,
    )


def _compute(
    base: Base,
    bank: CaptionBank,
    digest: str,
    weights: RowWeights,
    on_progress: Callable[[int, int], None] | None,
) -> CaptionStatistics:
    total = len(bank.fitted) + len(bank.held_out)

    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(done, total)

    fitted = _moment(base, bank.fitted, weights, report)
    _check_width(fitted.words, base.seam.layout.text_width)
    held_out = _moment(base, bank.held_out, weights, lambda done: report(len(bank.fitted) + done))
    return _factored(
        fitted.moment,
        held_out=held_out.moment,
        base_energy=_energy(base.seam.read_stack, held_out.moment),
        base_fingerprint=base.fingerprint,
        bank=digest,
        captions=len(bank.fitted),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Moment:
    moment: Tensor
    words: int


def _moment(
    base: Base, captions: Sequence[str], weights: RowWeights, on_done: Callable[[int], None]
) -> _Moment:
    width = base.seam.layout.text_width
    total, weight, words = torch.zeros(width, width, dtype=torch.float64), 0.0, 0
    for start in range(0, len(captions), _CAPTIONS_PER_CALL):
        part = captions[start : start + _CAPTIONS_PER_CALL]
        counted = prompt_rows(base.text_encoder, part, weights=weights)
        rows = counted.rows.double()
        total += rows.T @ rows
        weight += counted.weight
        words += counted.words
        on_done(start + len(part))
    return _Moment(moment=total / weight, words=words)


def _energy(stack: Tensor, moment: Tensor) -> float:
    """Return tr(W M W^T) for a stack W (D, d)."""
    moment = moment.to(stack.device, torch.float32)
    return sum(
        float(((block.float() @ moment) * block.float()).sum())
        for block in stack.split(_STACK_ROWS_PER_BLOCK)
    )


def _check_width(words: int, width: int) -> None:
    """Refuse statistics in which some directions of the features hardly occur.

    Raises:
        MergeError: There are fewer than two rows for each column.
    """
    least = _WORDS_PER_WIDTH * width
    if words < least:
        raise MergeError(
            f"the captions have {words} words, too few for text features of width {width}: a merge "
            f"would change at will what none of them says; give captions of {least} words or more "
            f"(about {-(-least // _WORDS_PER_CAPTION)} captions)"
        )


def _factored(moment: Tensor, **described: Any) -> CaptionStatistics:
    width = len(moment)
    eigenvalues = torch.linalg.eigvalsh(moment)
    floor = _FLOOR * float(moment.trace()) / width
    lowest = max(float(eigenvalues[0]), float(eigenvalues[-1]) * torch.finfo(torch.float64).eps)
    return CaptionStatistics(
        factor=torch.linalg.cholesky(moment + floor * torch.eye(width, dtype=moment.dtype)),
        condition=float(eigenvalues[-1]) / lowest,
        **described,
    )


def _digest(bank: CaptionBank, weights: RowWeights) -> str:
    described = [_VERSION, asdict(weights), bank.fitted, bank.held_out]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _path(cache: Path, base_fingerprint: str, digest: str) -> Path:
    return cache / "captions" / f"{base_fingerprint[:32]}-{digest[:16]}.safetensors"


def _write(statistics: CaptionStatistics, path: Path) -> None:
    tensors = {"factor": statistics.factor.contiguous(), "held_out": statistics.held_out}
    described = {
        name: getattr(statistics, name) for name in ("captions", "base_energy", "condition")
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_KEY: json.dumps(described)})
