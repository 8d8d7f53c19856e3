"""What a run will cost, before it is started: counted on the shapes of its base, not measured.

FLOPs are those of torch's own counter over matrix products and convolutions, a multiplication and
an addition being two, of the base's own U-Net, text encoder and autoencoder run forward and
backward on the ``meta`` device. Memory is what a step must hold at once:

    weights + 16 bytes for each trained number + what autograd keeps for the way back

(a float32 value, its gradient and AdamW's two moments), each number in the dtype that the outline
has it in. Attention is taken to keep its inputs and
its output, as memory-efficient kernels do, and not its maps. Allocators add to that.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from cdcore.model.base import Base
from cdcore.model.seam import TextKV
from cdcore.training.config import TrainingConfig
from cdcore.training.engine import ConceptParameters
from cdcore.training.regularization import PICTURES_AT_ONCE
from cdcore.training.row_schedule import rows_per_worker

__all__ = ["Estimate", "counted_flops", "estimate"]

_FLOAT32_BYTES = 4
_MOMENTS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run will cost.

    Attributes:
        step_flops: FLOPs of one step, over all rows and workers; at most, as prompts that are
            alike are encoded once.
        training_flops: FLOPs of all steps.
        preparation_flops: FLOPs of generating the regularization pictures and encoding all
            pictures as often as they are shown, when the cache has none of them.
        weight_bytes: Bytes of the base's U-Net, text encoder and autoencoder, on each worker.
        trained_bytes: Bytes of what trains, with gradients and moments, on each worker.
        activation_bytes: What autograd keeps during a step, on each worker.
    """

    step_flops: int
    training_flops: int
    preparation_flops: int
    weight_bytes: int
    trained_bytes: int
    activation_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Bytes that one worker needs during a step."""
        return self.weight_bytes + self.trained_bytes + self.activation_bytes


def estimate(
    outline: Base,
    config: TrainingConfig,
    pictures: int,
    *,
    brought: Sequence[int] = (),
    workers: int = 1,
    zero_stage: int = 0,
) -> Estimate:
    """Count what a run will cost.

    Args:
        outline: The outline of the base, from `cdcore.model.meta_base.outline_base`, in the dtypes
            that it will have.
        config: The configuration of the run.
        pictures: To train on, of all subjects.
        brought: The regularization pictures that need not be generated, of each subject; 0 where
            the base generates them, and so has nothing at all.
        workers: Among which the rows are shared.
        zero_stage: From 1 on, the moments are shared among the workers.
    """
    step = _Step(outline, config)
    step_flops = counted_flops(lambda: step.run(config.target_rows, config.regularization_rows))
    share = rows_per_worker(config.rows_per_step, workers)
    # The worker with the most target rows keeps the most.
    targets = min(rows_per_worker(config.target_rows, workers), share)
    trained = sum(parameter.numel() for parameter in step.trained)
    moments = _MOMENTS / (workers if zero_stage else 1)
    models: tuple[nn.Module, ...] = (
        outline.seam.unet,
        *outline.text_encoder.models,
        outline.autoencoder,
    )
    # The K/V stack is held beside the layers that it is stacked from.
    weights = [outline.seam.stack, *(tensor for model in models for tensor in _tensors(model))]
    return Estimate(
        step_flops=step_flops,
        training_flops=step_flops * config.steps,
        preparation_flops=_preparation_flops(outline, config, pictures, brought),
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights),
        trained_bytes=int(_FLOAT32_BYTES * trained * (2 + moments)),
        activation_bytes=_kept(
            lambda: step.run(targets, share - targets), [*weights, *step.trained]
        ),
    )


class _Step:
    """One training step on shapes."""

    def __init__(self, outline: Base, config: TrainingConfig) -> None:
        self._outline = outline
        self._tokens = [one.token for one in config.subjects if one.token is not None]
        layout = outline.seam.layout
        rows = torch.zeros(len(self._tokens), layout.text_width, device="meta")
        self._parameters = ConceptParameters.of_layout(layout, config, rows)
        self._prompt = config.subjects[0].instance_prompt
        with torch.no_grad():
            # Known before the first step.
            self._class = outline.text_encoder.read([config.subjects[0].class_prompt])

    @property
    def trained(self) -> list[nn.Parameter]:
        """The update and the token rows."""
        return list(self._parameters.parameters())

    def run(self, target_rows: int, regularization_rows: int) -> None:
        """Go forward and backward."""
        outline, encoder = self._outline, self._outline.text_encoder
        named = dict(zip(self._tokens, self._parameters.tokens, strict=True))
        read = [encoder.read([self._prompt] * target_rows, named)] if target_rows else []
        if regularization_rows:
            of_class, pooled_class = self._class
            count = regularization_rows
            of_all = None if pooled_class is None else pooled_class.expand(count, -1)
            read.append((of_class.expand(count, -1, -1), of_all))
        pooled = [text for _, text in read if text is not None]
        text_kv = outline.seam.project(
            torch.cat([features for features, _ in read]),
            self._parameters.current_update(outline.seam.layout),
            pooled=outline.pooled_with_sizes(torch.cat(pooled) if pooled else None),
            first_token_gradient=False,
        )
        latents, timesteps = _noisy(outline, target_rows + regularization_rows)
        outline.seam.predict(latents, timesteps, text_kv).float().sum().backward()
        for parameter in self.trained:
            parameter.grad = None


@torch.no_grad()
def _preparation_flops(
    outline: Base, config: TrainingConfig, pictures: int, brought: Sequence[int]
) -> int:
    side = outline.profile.resolution
    given = brought or [0] * len(config.subjects)
    prompts = {one.class_prompt for one, own in zip(config.subjects, given, strict=True) if not own}
    is_regularized = config.regularization_rows > 0
    made = config.regularization_images * len(prompts) if is_regularized else 0
    kept = made + (sum(given) if is_regularized else 0)
    shown = pictures * config.variants + kept * (2 if config.flip else 1)
    # The prompt, and what guidance leads away from.
    texts = ["", ""]

    def project() -> TextKV:
        features, pooled = outline.text_encoder.read(texts)
        return outline.seam.project(features, pooled=outline.pooled_with_sizes(pooled))

    def encode() -> None:
        outline.encode_pixels(torch.zeros(1, 3, side, side, device="meta"))

    def decode() -> None:
        outline.decode_latents(_noisy(outline, 1)[0])

    text_kv = project()

    def denoise() -> None:
        outline.seam.predict(*_noisy(outline, len(texts)), text_kv)

    each = counted_flops(denoise) * outline.profile.sampling_steps + counted_flops(decode)
    batches = len(prompts) * math.ceil(made / len(prompts) / PICTURES_AT_ONCE) if made else 0
    return made * each + batches * counted_flops(project) + shown * counted_flops(encode)


def _noisy(outline: Base, rows: int) -> tuple[Tensor, Tensor]:
    latents = torch.zeros(rows, *outline.latent_shape, device="meta")
    return latents, torch.zeros(rows, dtype=torch.long, device="meta")


def counted_flops(work: Callable[[], object]) -> int:
    """Return the FLOPs of ``work``, by torch's own counter."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _tensors(model: nn.Module) -> Iterable[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _kept(work: Callable[[], None], weights: Iterable[Tensor]) -> int:
    """Return how many bytes autograd keeps, each storage once and weights left out."""
    known = {_storage(weight) for weight in weights}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point() and _storage(tensor) not in known:
            # Held here, so that no other storage comes to lie in its place.
            kept[_storage(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept), _NoAttentionMaps():
        work()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _NoAttentionMaps(TorchFunctionMode):
    """Attention as memory-efficient kernels keep it; on ``meta`` torch would keep the maps."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            return _Attention.apply(*args[:3])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Attention(torch.autograd.Function):
    """Shapes of attention and of its gradients; no values."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        query, key, value, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
