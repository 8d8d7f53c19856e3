"""The rows of one picture size that go through the U-Net together; they join and leave at any tick.

A row brings its keys and values, plan, noise and guidance, so a batch may mix concepts, merges,
guidance scales, step counts, solvers and timesteps. Each row takes two rows of the U-Net, or one
where its guidance is off.

On one machine a row's bits depend on how many rows the U-Net sees, and on nothing else of its
neighbours (`docs/DESIGN.md`). So while a deterministic row is in it, the batch is filled up to its
full size, two rows of the U-Net for each: what `cdcore.sampling.pipeline.sample` does with as many
requests.
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.model.base import Base
from cdcore.model.seam import TextKV
from cdcore.sampling.guidance import guided
from cdcore.sampling.pipeline import condition
from cdcore.sampling.rows import Row, tick
from cdcore.sampling.solvers import plan
from serve.engine.conditioning import Conditioning
from serve.policies.job import RowKey

__all__ = ["Batch", "BatchRow"]


@dataclass(kw_only=True, slots=True, eq=False)
class BatchRow:
    """A picture on its way.

    Attributes:
        row: The picture's state.
        conditioning: The keys and values that the row reads.
        guidance_scale: A number of at least 1; 1 where there is no negative conditioning.
        is_deterministic: Whether the row's bits must not depend on its neighbours.
    """

    row: Row
    conditioning: Conditioning
    guidance_scale: float
    is_deterministic: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Stacked:
    """What stays the same until a row joins or leaves.

    Attributes:
        index: Which of the N rows each row of the U-Net is, negative ones first.
        negatives: How many are negative.
        guided: The rows that the first negative ones belong to.
        guidance_scale: The guidance scale of each row, (N,).
        text_kv: The keys and values of each row of the U-Net.
    """

    index: Tensor
    negatives: int
    guided: Tensor
    guidance_scale: Tensor
    text_kv: TextKV


class Batch:
    """Rows in the order they joined."""

    def __init__(self, base: Base, slots: int) -> None:
        """Make an empty batch.

        Args:
            base: The base model.
            slots: How many rows may be in it.
        """
        self.slots = slots
        self._base = base
        self._rows: dict[RowKey, BatchRow] = {}
        self._stacked: _Stacked | None = None

    def __len__(self) -> int:
        """How many rows are in it."""
        return len(self._rows)

    def __contains__(self, key: RowKey) -> bool:
        """Whether a row is in it."""
        return key in self._rows

    @property
    def rows(self) -> dict[RowKey, BatchRow]:
        """The rows by key, in the order they joined; a copy."""
        return dict(self._rows)

    def join(self, key: RowKey, row: BatchRow) -> None:
        """Let a row in."""
        assert len(self._rows) < self.slots
        self._rows[key] = row
        self._stacked = None

    def leave(self, key: RowKey) -> BatchRow:
        """Let a row out; the others' states are untouched."""
        self._stacked = None
        return self._rows.pop(key)

    def tick(self) -> None:
        """Move every row one step on: one forward of the U-Net, one update of the sampler.

        When it returns the device is done: else the books would run ahead of a GPU.
        """
        rows = list(self._rows.values())
        if self._stacked is None:
            self._stacked = self._stack(rows)
        stacked = self._stacked

        def predict(z: Tensor, timesteps: Tensor) -> Tensor:
            index = stacked.index
            prediction = self._base.seam.predict(z[index], timesteps[index], stacked.text_kv)
            conditional = prediction[stacked.negatives : stacked.negatives + len(z)]
            unconditional = conditional.index_copy(
                0, stacked.guided, prediction[: len(stacked.guided)]
            )
            return guided(unconditional, conditional, stacked.guidance_scale)

        tick(self._base.noise_schedule, [row.row for row in rows], predict)
        if self._base.device.type == "cuda":
            torch.cuda.synchronize(self._base.device)

    def warm_up(self, shape: tuple[int, int, int]) -> float:
        """Fill the empty batch and tick twice; returns how long the second tick took, seconds.

        Args:
            shape: The shape (C, h, w) of a picture's latents.
        """
        text_kv = condition(self._base, "")
        conditioning = Conditioning(positive=text_kv, negative=text_kv, residuals={})
        steps = plan(self._base.noise_schedule, "ddim", 2)
        for number in range(self.slots):
            row = Row.start(steps, number, shape, self._base.device)
            self.join(("", number), BatchRow(row=row, conditioning=conditioning, guidance_scale=2))
        self.tick()
        started = time.monotonic()
        self.tick()
        seconds = time.monotonic() - started
        for key in self.rows:
            self.leave(key)
        return seconds

    def _stack(self, rows: list[BatchRow]) -> _Stacked:
        count, device = len(rows), self._base.device
        everyone = list(range(count))
        if any(row.is_deterministic for row in rows):
            positive = everyone + [0] * (self.slots - count)
            negative, guided_rows = positive, everyone
        else:
            positive = everyone
            negative = [i for i in everyone if rows[i].conditioning.negative is not None]
            guided_rows = negative
        conditions = [_negative(rows[i]) for i in negative]
        conditions += [rows[i].conditioning.positive for i in positive]
        return _Stacked(
            index=torch.tensor(negative + positive, device=device),
            negatives=len(negative),
            guided=torch.tensor(guided_rows, dtype=torch.int64, device=device),
            guidance_scale=torch.tensor([row.guidance_scale for row in rows], device=device),
            text_kv=tuple(torch.cat(parts) for parts in zip(*conditions, strict=True)),
        )


def _negative(row: BatchRow) -> TextKV:
    """Return what guidance leads away from; where it is off, anything will do."""
    negative = row.conditioning.negative
    return row.conditioning.positive if negative is None else negative
