"""Tests of `serve.engine.batch`."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from cdcore.sampling.pipeline import condition, sample
from cdcore.sampling.request import Request
from cdcore.sampling.rows import Row
from cdcore.sampling.solvers import plan
from serve.engine.batch import Batch, BatchRow
from serve.engine.conditioning import Conditioning
from tests.tiny import random_update

SLOTS = 4
REQUEST = Request(prompt="a red cat", seed=1, steps=5, guidance_scale=3.0)


def requests(base: Base) -> list[Request]:
    """Of equal length."""
    shape = base.seam.layout.shape
    return [
        REQUEST,
        replace(REQUEST, seed=2, update=random_update(shape, seed=1), guidance_scale=1.0),
        replace(REQUEST, seed=3, update=random_update(shape, rank=2), sampler="ddim", eta=1.0),
    ]


def row_of(base: Base, request: Request, *, is_deterministic: bool = False) -> BatchRow:
    def text_kv(text: str) -> tuple[Tensor, ...]:
        return condition(base, text, request.update, request.tokens)

    is_guided = request.guidance_scale != 1
    steps = plan(base.noise_schedule, request.sampler, request.steps, eta=request.eta)
    return BatchRow(
        row=Row.start(steps, request.seed, base.latent_shape),
        conditioning=Conditioning(
            positive=text_kv(request.prompt),
            negative=text_kv(request.negative_prompt) if is_guided else None,
            residuals={},
        ),
        guidance_scale=request.guidance_scale,
        is_deterministic=is_deterministic,
    )


def ticked(base: Base, batch: Batch, times: int) -> None:
    with torch.no_grad():
        for _ in range(times):
            batch.tick()


def seen_rows(base: Base, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many rows the U-Net sees at each call."""
    seen: list[int] = []
    predict = base.seam.predict

    def watched(z: Tensor, timesteps: Tensor, text_kv: tuple[Tensor, ...]) -> Tensor:
        assert len(z) == len(timesteps) == len(text_kv[0])
        seen.append(len(z))
        return predict(z, timesteps, text_kv)

    monkeypatch.setattr(base.seam, "predict", watched)
    return seen


def test_rows_that_join_and_leave_at_any_tick_are_the_samplers(tiny_base: Base) -> None:
    asked = requests(tiny_base)
    rows = [row_of(tiny_base, request) for request in asked]
    batch = Batch(tiny_base, SLOTS)
    batch.join(("a", 0), rows[0])
    ticked(tiny_base, batch, 2)
    batch.join(("b", 0), rows[1])
    batch.join(("c", 0), rows[2])
    ticked(tiny_base, batch, 3)
    assert batch.leave(("a", 0)).row.finished
    ticked(tiny_base, batch, 2)
    assert [("a", 0) in batch, ("b", 0) in batch, len(batch)] == [False, True, 2]
    for row, request in zip(rows, asked, strict=True):
        assert row.row.finished
        alone = sample(tiny_base, [request])
        found = tiny_base.decode_latents(row.row.z[None])
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-4)


def test_each_row_takes_two_rows_of_the_unet_or_one_without_guidance(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_rows(tiny_base, monkeypatch)
    batch = Batch(tiny_base, SLOTS)
    for number, request in enumerate(requests(tiny_base)):
        batch.join(("a", number), row_of(tiny_base, request))
    ticked(tiny_base, batch, 1)
    batch.leave(("a", 0))
    ticked(tiny_base, batch, 1)
    batch.join(("b", 0), row_of(tiny_base, REQUEST, is_deterministic=True))
    ticked(tiny_base, batch, 2)
    batch.leave(("b", 0))
    ticked(tiny_base, batch, 1)
    assert seen == [5, 3, 2 * SLOTS, 2 * SLOTS, 3]


def test_a_deterministic_row_depends_on_neither_slot_nor_neighbours(tiny_base: Base) -> None:
    outcomes = []
    shape = tiny_base.seam.layout.shape
    for before in range(SLOTS):
        batch = Batch(tiny_base, SLOTS)
        for number in range(before):
            neighbour = replace(REQUEST, seed=50 + number, update=random_update(shape, seed=number))
            batch.join(("before", number), row_of(tiny_base, neighbour))
        ours = row_of(tiny_base, REQUEST, is_deterministic=True)
        batch.join(("ours", 0), ours)
        ticked(tiny_base, batch, 2)
        if before:
            batch.leave(("before", 0))
        ticked(tiny_base, batch, 3)
        outcomes.append(ours.row.z)
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes)


def test_numbers_that_are_none_stay_in_their_row(tiny_base: Base) -> None:
    broken = replace(REQUEST, update=DenseUpdate(torch.full(tiny_base.seam.layout.shape, 1e38)))
    batch = Batch(tiny_base, SLOTS)
    ours, theirs = row_of(tiny_base, REQUEST), row_of(tiny_base, broken)
    batch.join(("theirs", 0), theirs)
    batch.join(("ours", 0), ours)
    ticked(tiny_base, batch, 5)
    assert not theirs.row.z.isfinite().all()
    alone = sample(tiny_base, [REQUEST])
    torch.testing.assert_close(tiny_base.decode_latents(ours.row.z[None]), alone, rtol=0, atol=1e-4)


def test_warming_up_leaves_an_empty_batch(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_rows(tiny_base, monkeypatch)
    batch = Batch(tiny_base, SLOTS)
    with torch.no_grad():
        assert batch.warm_up(tiny_base.latent_shape) > 0
    assert len(batch) == 0
    assert seen == [2 * SLOTS] * 2
