"""Tests of `serve.engine.decoder`."""

import pytest
import torch

from cdcore.errors import ServingError
from cdcore.model.base import Base
from cdcore.sampling.solvers import plan
from serve.engine.decoder import PictureDecoder
from serve.engine.work import Work
from tests.serve.engine_case import SIMPLE


def work_of(base: Base, key: str) -> Work:
    return Work(
        key=key,
        request=SIMPLE,
        plan=plan(base.noise_schedule, SIMPLE.sampler, SIMPLE.steps),
        size=(64, 64),
        sink=lambda event: None,
        offered_at=0.0,
        offered_turn=0,
        found_free_row=True,
    )


def test_pictures_are_decoded_in_order_and_those_of_ended_requests_never(tiny_base: Base) -> None:
    is_open = {"a": True, "gone": False, "b": True}
    decoder = PictureDecoder(tiny_base, is_open.__getitem__)
    latents = torch.randn(4, *tiny_base.latent_shape, generator=torch.Generator().manual_seed(1))
    rows = [("a", 0), ("gone", 0), ("gone", 1), ("b", 3)]
    for row, one in zip(rows, latents, strict=True):
        decoder.put(row, work_of(tiny_base, row[0]), one)
    for number, row in ((0, ("a", 0)), (3, ("b", 3))):
        found = decoder.decode_one()
        assert found is not None
        assert (found.row, found.work.key) == (row, row[0])
        assert isinstance(found.outcome, torch.Tensor)
        assert torch.equal(found.outcome, tiny_base.decode_latents(latents[number : number + 1])[0])
    assert decoder.decode_one() is None
    assert len(decoder) == 0


def test_a_picture_that_cannot_be_decoded_says_why(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = PictureDecoder(tiny_base, lambda key: True)
    for _ in range(2):
        decoder.put(("a", 0), work_of(tiny_base, "a"), torch.zeros(tiny_base.latent_shape))

    def broken(base: Base, latents: torch.Tensor) -> torch.Tensor:
        return torch.full((1, 3, 64, 64), torch.nan)

    monkeypatch.setattr(Base, "decode_latents", broken)
    found = decoder.decode_one()
    assert found is not None
    assert isinstance(found.outcome, ServingError)
    assert "no numbers" in str(found.outcome)

    def failing(base: Base, latents: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Base, "decode_latents", failing)
    found = decoder.decode_one()
    assert found is not None
    assert "could not be decoded: RuntimeError('out of memory')" in str(found.outcome)
    assert "a picture could not be decoded" in caplog.text
