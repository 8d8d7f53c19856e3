import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.meta_base import outline_base
from cdcore.model.update import DenseUpdate
from cdcore.pictures.picture_folder import read_pictures
from cdcore.training.config import TrainingConfig
from cdcore.training.cost_estimate import Estimate, counted_flops, estimate
from cdcore.training.preparation import prepare
from tests.cdcore.training_case import CAT, CHAIR, config
from tests.rayjobs.train_case import write_pictures


@pytest.fixture(scope="module")
def outline(tiny_folder: Path) -> Base:
    return outline_base(str(tiny_folder))


Cost = Callable[..., Estimate]


@pytest.fixture(scope="module")
def cost(outline: Base) -> Cost:
    """What a configuration costs on the outline; the same question is counted once."""

    @functools.cache
    def count(pictures: int, limits: tuple[tuple[str, Any], ...], made: TrainingConfig) -> Estimate:
        return estimate(outline, made, pictures, **dict(limits))

    def ask(
        pictures: int = 3,
        *,
        brought: tuple[int, ...] = (),
        workers: int = 1,
        zero_stage: int = 0,
        **changes: Any,
    ) -> Estimate:
        limits = {"brought": brought, "workers": workers, "zero_stage": zero_stage}
        return count(pictures, tuple(limits.items()), config(**changes))

    return ask


def test_a_product_of_matrices_is_counted_as_two_for_each_multiplication() -> None:
    left, right = torch.zeros(3, 5, device="meta"), torch.zeros(5, 7, device="meta")
    assert counted_flops(lambda: left @ right) == 2 * 3 * 5 * 7


def test_the_flops_of_a_step_are_those_of_a_step_with_weights(cost: Cost, tiny_base: Base) -> None:
    made = config()
    rows = made.rows_per_step
    update = torch.zeros(tiny_base.seam.layout.shape, requires_grad=True)
    (token,) = [subject.token for subject in made.subjects]
    assert token is not None
    row = tiny_base.text_encoder.initial_embedding("cat").requires_grad_()
    targets = [f"photo of a {token} cat"] * made.target_rows
    with torch.no_grad():
        plain = tiny_base.text_encoder.encode(["photo of a cat"])
    # The counter does not see a processor's fused attention.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        features = tiny_base.text_encoder.encode(targets, {token: row})
        both = torch.cat([features, plain.expand(made.regularization_rows, -1, -1)])
        text_kv = tiny_base.seam.project(both, DenseUpdate(update), first_token_gradient=False)
        latents = torch.zeros(rows, *tiny_base.latent_shape)
        predicted = tiny_base.seam.predict(latents, torch.zeros(rows, dtype=torch.long), text_kv)
        predicted.sum().backward()
    assert cost().step_flops == counter.get_total_flops()


def test_work_grows_with_rows_steps_pictures_and_variants(cost: Cost) -> None:
    plain = cost()
    assert plain.training_flops == plain.step_flops * config().steps
    assert cost(steps=9).step_flops == plain.step_flops
    assert cost(steps=9).training_flops == 9 * plain.step_flops
    more = cost(pictures=6).preparation_flops - plain.preparation_flops
    assert more > 0
    twice = cost(variants=2 * config().variants).preparation_flops
    assert twice - plain.preparation_flops == more
    doubled = cost(rows_per_step=2 * config().rows_per_step)
    assert doubled.step_flops == pytest.approx(2 * plain.step_flops, rel=0.02)
    assert doubled.activation_bytes == pytest.approx(2 * plain.activation_bytes, rel=0.1)
    none = cost(regularization_ratio=0.0)
    assert none.preparation_flops < plain.preparation_flops


def test_memory_is_of_weights_of_what_trains_and_of_activations(
    cost: Cost, tiny_base: Base
) -> None:
    plain = cost(rows_per_step=4)
    width = tiny_base.seam.layout.text_width
    trained = 4 * (tiny_base.seam.stack.numel() + width)
    assert plain.trained_bytes == 4 * trained
    assert plain.memory_bytes == (plain.weight_bytes + plain.trained_bytes + plain.activation_bytes)
    shared = cost(rows_per_step=4, workers=2, zero_stage=1)
    assert shared.trained_bytes == 3 * trained
    assert shared.activation_bytes < 0.7 * plain.activation_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bytes_are_those_of_the_base_as_it_will_be_loaded(
    cost: Cost, tiny_folder: Path, dtype: torch.dtype
) -> None:
    plain = cost()
    other = estimate(outline_base(str(tiny_folder), dtype=dtype), config(), 3)
    base = load_base(str(tiny_folder), dtype=dtype)
    held = [base.seam.stack]
    for model in (base.seam.unet, base.text_encoder.model, base.autoencoder):
        held += [*model.parameters(), *model.buffers()]
    assert other.weight_bytes == sum(tensor.nbytes for tensor in held)
    assert other.trained_bytes == plain.trained_bytes
    if dtype == torch.bfloat16:
        share = other.activation_bytes / plain.activation_bytes
        assert 0.5 < share < 0.9, "the text encoder keeps its own in float32"


@pytest.mark.parametrize(
    "changes", [{}, {"flip": False}, {"regularization_ratio": 0.0}, {"subjects": (CAT, CHAIR)}]
)
def test_the_flops_of_a_preparation_are_those_of_a_preparation_with_weights(
    tiny_base: Base, outline: Base, tmp_path: Path, changes: dict[str, Any]
) -> None:
    made = config(**changes)
    profile = replace(tiny_base.profile, sampling_steps=2)
    shown = [read_pictures(write_pictures(tmp_path / "images", 2))] * len(made.subjects)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        prepare(
            replace(tiny_base, profile=profile), made, shown, tmp_path / "cache", lambda *_: None
        )
    # Both subjects show the same pictures, whose latents are then in the cache.
    count = len(shown[0])
    outline = replace(outline, profile=profile)
    assert estimate(outline, made, count).preparation_flops == counter.get_total_flops()


def test_what_is_kept_on_shapes_is_what_autograd_keeps_with_weights(
    outline: Base, tiny_base: Base
) -> None:
    made = replace(config(), regularization_ratio=0.0)
    update = torch.zeros(tiny_base.seam.layout.shape, requires_grad=True)
    (subject,) = made.subjects
    assert subject.token is not None
    row = tiny_base.text_encoder.initial_embedding("cat").requires_grad_()
    weights = [tiny_base.seam.stack, update, row]
    for model in (tiny_base.seam.unet, tiny_base.text_encoder.model):
        weights += [*model.parameters(), *model.buffers()]
    known = {tensor.untyped_storage().data_ptr() for tensor in weights}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point() and tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows = made.rows_per_step
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        features = tiny_base.text_encoder.encode(
            [subject.instance_prompt] * rows, {subject.token: row}
        )
        text_kv = tiny_base.seam.project(features, DenseUpdate(update), first_token_gradient=False)
        latents = torch.zeros(rows, *tiny_base.latent_shape)
        tiny_base.seam.predict(latents, torch.zeros(rows, dtype=torch.long), text_kv)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert estimate(outline, made, 3).activation_bytes == pytest.approx(found, rel=0.1)


def test_regularization_pictures_that_are_brought_are_encoded_and_not_generated(
    cost: Cost,
) -> None:
    both: dict[str, Any] = {"subjects": (CAT, CHAIR), "regularization_images": 4}

    def preparation(*brought: int) -> int:
        return cost(brought=brought, **both).preparation_flops

    without = cost(regularization_ratio=0.0, **both).preparation_flops
    assert preparation() == preparation(0, 0)
    assert without < preparation(4, 4) < preparation(4, 0) < preparation()
    # Each is encoded twice, for it is also shown mirrored; a picture of the concept once a variant.
    more = cost(4, **both).preparation_flops - preparation()
    assert (preparation(4, 4) - without) * config(**both).variants == 2 * 8 * more
    steps = [cost(brought=one, **both).training_flops for one in ((), (4, 4))]
    assert steps[0] == steps[1]
