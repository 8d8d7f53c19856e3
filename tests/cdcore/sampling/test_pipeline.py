"""Tests of `cdcore.sampling.pipeline`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cdcore.errors import ConfigError, TokenError, UpdateShapeError
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate, Update
from cdcore.sampling import pipeline as sampling
from cdcore.sampling.pipeline import condition, sample
from cdcore.sampling.request import Request
from cdcore.sampling.rows import Row, sample_rows
from cdcore.sampling.solvers import plan
from tests.small_families import FamilyName
from tests.tiny import random_update

SIMPLE = Request(prompt="a red cat", seed=7, steps=3, guidance_scale=2.0)


def mixed_requests(base: Base) -> list[Request]:
    shape = base.seam.layout.shape
    shared = random_update(shape, seed=1)
    row = torch.randn(shape[1], generator=torch.Generator().manual_seed(2))
    return [
        SIMPLE,
        replace(SIMPLE, seed=8, steps=5, update=shared, prompt="<one> dog", tokens={"<one>": row}),
        replace(SIMPLE, sampler="ddim", eta=0.5, guidance_scale=1.0, steps=4),
        replace(SIMPLE, update=random_update(shape, seed=3, rank=2), negative_prompt="a barn"),
        replace(SIMPLE, prompt="", update=shared, guidance_scale=7.5, steps=1),
    ]


def test_a_mixed_batch_is_every_request_alone(tiny_base: Base) -> None:
    requests = mixed_requests(tiny_base)
    together = sample(tiny_base, requests)
    assert together.shape == (len(requests), 3, 64, 64)
    assert together.dtype == torch.float32
    assert together.abs().max() <= 1
    for picture, request in zip(together, requests, strict=True):
        alone = sample(tiny_base, [request])[0]
        torch.testing.assert_close(picture, alone, rtol=0, atol=1e-4)


def test_many_requests_are_sampled_in_parts(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = mixed_requests(tiny_base)
    together = sample(tiny_base, requests)
    monkeypatch.setattr(sampling, "_MAX_ROWS", 2)
    reports: list[tuple[int, int]] = []
    in_parts = sample(tiny_base, requests, on_step=lambda *report: reports.append(report))
    torch.testing.assert_close(in_parts, together, rtol=0, atol=1e-4)
    assert reports == [(step, 10) for step in range(1, 11)]


def test_equal_texts_are_encoded_once_and_each_alone(
    tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[list[str]] = []
    read = tiny_base.text_encoder.read

    def watched(
        prompts: list[str], rows: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        encoded.append(prompts)
        return read(prompts, rows)

    monkeypatch.setattr(tiny_base.text_encoder, "read", watched)
    update = random_update(tiny_base.seam.layout.shape)
    quick = replace(SIMPLE, steps=1)
    sample(tiny_base, [quick, replace(quick, seed=8), replace(quick, update=update)])
    assert encoded == [[""], [""], ["a red cat"], ["a red cat"]]


def test_the_seed_makes_the_picture(tiny_base: Base) -> None:
    first, again, other = sample(tiny_base, [SIMPLE, SIMPLE, replace(SIMPLE, seed=8)])
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01
    assert torch.equal(sample(tiny_base, [SIMPLE]), sample(tiny_base, [SIMPLE]))


@torch.no_grad()
def test_guidance_of_one_is_the_conditional_prediction(tiny_base: Base) -> None:
    seam, schedule = tiny_base.seam, tiny_base.noise_schedule
    update = random_update(seam.layout.shape)
    text_kv = seam.project(tiny_base.text_encoder.encode([SIMPLE.prompt]), update)

    def predict(z: Tensor, timesteps: Tensor, _: tuple[int, ...]) -> Tensor:
        return seam.predict(z, timesteps, text_kv)

    row = Row.start(plan(schedule, "dpm++", SIMPLE.steps), SIMPLE.seed, tiny_base.latent_shape)
    expected = tiny_base.decode_latents(sample_rows(schedule, [row], predict))
    unguided = replace(SIMPLE, guidance_scale=1.0, update=update)
    for request in (unguided, replace(unguided, negative_prompt="a blue barn in the snow")):
        picture = sample(tiny_base, [request])
        torch.testing.assert_close(picture, expected, rtol=0, atol=1e-4)


def test_settings_show_in_the_picture(tiny_base: Base) -> None:
    shape = tiny_base.seam.layout.shape
    requests = [
        SIMPLE,
        replace(SIMPLE, prompt="a blue barn in the snow"),
        replace(SIMPLE, negative_prompt="a blue barn in the snow"),
        replace(SIMPLE, guidance_scale=6.0),
        replace(SIMPLE, sampler="ddim"),
        replace(SIMPLE, update=random_update(shape)),
    ]
    pictures = sample(tiny_base, requests)
    changes = (pictures[1:] - pictures[0]).flatten(1).abs().amax(dim=1)
    assert (changes > 1e-3).all(), changes
    nothing = replace(SIMPLE, update=DenseUpdate(torch.zeros(shape)))
    torch.testing.assert_close(sample(tiny_base, [nothing])[0], pictures[0], rtol=0, atol=1e-4)


def test_the_concept_is_in_both_rows_of_guidance(tiny_base: Base) -> None:
    """With the same text on both sides there is nothing to lead away from."""
    update = random_update(tiny_base.seam.layout.shape)
    same = replace(SIMPLE, update=update, negative_prompt=SIMPLE.prompt)
    strong, off = sample(
        tiny_base, [replace(same, guidance_scale=9.0), replace(same, guidance_scale=1.0)]
    )
    torch.testing.assert_close(strong, off, rtol=0, atol=1e-4)


def test_what_cannot_be_sampled_is_refused(tiny_base: Base) -> None:
    small = DenseUpdate(torch.zeros(2, 2))
    for request, error in (
        (replace(SIMPLE, prompt="a <hat>"), TokenError),
        (replace(SIMPLE, negative_prompt="a <hat>"), TokenError),
        (replace(SIMPLE, steps=0), ConfigError),
        (replace(SIMPLE, eta=0.5), ConfigError),
        (replace(SIMPLE, seed=-1), ConfigError),
        (replace(SIMPLE, update=small), UpdateShapeError),
    ):
        with pytest.raises(error):
            sample(tiny_base, [SIMPLE, request])


STOCK = Request(
    prompt="photo of a teddybear in a café 🙂",
    seed=7,
    steps=4,
    guidance_scale=3.0,
    sampler="ddim",
)


def stock_picture(pipeline: Any, request: Request, size: tuple[int, int] = (64, 64)) -> Tensor:
    """What a stock diffusers pipeline draws for a request alone, in [-1, 1]."""
    width, height = size
    drawn: Tensor = pipeline(
        request.prompt,
        # To the pipeline an empty text is not the same as none.
        negative_prompt=request.negative_prompt or None,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        height=height,
        width=width,
        output_type="pt",
    ).images[0]
    return 2 * drawn - 1


def installed(folder: Path, base: Base, update: Update | None) -> Any:
    """A stock pipeline with the update added to its weights."""
    from diffusers import DiffusionPipeline

    pipeline: Any = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    if update is not None:
        layout = base.seam.layout
        with torch.no_grad():
            for name, part in layout.split(base.seam.read_stack + update.dense()).items():
                pipeline.unet.get_parameter(name).copy_(part)
    return pipeline


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_each_row_of_a_mixed_batch_is_the_stock_pipeline_s_picture_of_it_alone(
    small_base: Callable[[FamilyName], Base],
    small_folder: Callable[[FamilyName], Path],
    family: FamilyName,
) -> None:
    base, folder = small_base(family), small_folder(family)
    shape = base.seam.layout.shape
    updates = [None, random_update(shape, seed=1), random_update(shape, seed=2, rank=2)]
    requests = [
        STOCK,
        replace(STOCK, seed=8, steps=3, negative_prompt="a barn", update=updates[1]),
        replace(STOCK, prompt="", guidance_scale=2.0, update=updates[1]),
        replace(STOCK, prompt="a cat " * 60, seed=9, update=updates[2]),
    ]
    together = sample(base, requests)
    for number, update in enumerate(updates):
        pipeline = installed(folder, base, update)
        for ours, request in zip(together, requests, strict=True):
            if request.update is update:
                theirs = stock_picture(pipeline, request)
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=f"update {number}")


def test_an_sdxl_is_told_the_size_of_what_it_draws(
    small_base: Callable[[FamilyName], Base], small_folder: Callable[[FamilyName], Path]
) -> None:
    base = small_base("sdxl").at(128)
    pipeline = installed(small_folder("sdxl"), base, None)
    picture = sample(base, [STOCK])[0]
    assert picture.shape == (3, 128, 128)
    torch.testing.assert_close(
        picture, stock_picture(pipeline, STOCK, (128, 128)), rtol=0, atol=1e-5
    )
    sizes = condition(base, "a cat", size=(192, 64))[-1]
    assert sizes.tolist() == [[64, 192, 0, 0, 64, 192]]


def test_of_an_empty_negative_an_sdxl_reads_nothing_and_of_an_empty_prompt_the_empty_text(
    small_base: Callable[[FamilyName], Base],
) -> None:
    base = small_base("sdxl")
    away, towards = condition(base, "", is_negative=True), condition(base, "")
    assert not any(part.any() for part in away[:-1])
    assert all(part.any() for part in towards)
    written = condition(base, "a barn", is_negative=True)
    assert all(map(torch.equal, written, condition(base, "a barn")))
    plain = small_base("sd1")
    assert all(map(torch.equal, condition(plain, "", is_negative=True), condition(plain, "")))
