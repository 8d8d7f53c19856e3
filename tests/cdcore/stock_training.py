"""One training step as a stock diffusers pipeline of any family computes it, by plain autograd."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cdcore.model.base import Base
from cdcore.training.config import TrainingConfig
from cdcore.training.row_schedule import RowDraw, rows_of_step
from cdcore.training.trainer import TrainingData

__all__ = ["stock_step"]


def stock_step(
    folder: Path, base: Base, settings: TrainingConfig, latents: TrainingData
) -> tuple[Tensor, Tensor]:
    """Return the loss of the first step, and the gradient of the K/V stack (D, d).

    The modifier token must start from one word of the vocabulary: the stock tokenizer reads that
    word in its place. The first token's keys and values give no gradient, as in the paper's code.
    """
    from diffusers import DiffusionPipeline

    pipeline: Any = DiffusionPipeline.from_pretrained(folder)
    weights = [pipeline.unet.get_parameter(name) for name in base.seam.layout.names]
    pipeline.unet.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_()
    for name, module in pipeline.unet.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            module.register_forward_hook(_without_gradient_of_the_first)
    rows = rows_of_step(
        settings,
        0,
        samples=[(len(latents.target), len(latents.regularization or ()))],
        timesteps=len(base.noise_schedule.alphas_cumprod),
    )
    losses = [row.weight * _row_loss(pipeline, base, settings, latents, row) for row in rows]
    loss = torch.stack(losses).sum()
    loss.backward()
    return loss.detach(), torch.cat([weight.grad for weight in weights])


def _without_gradient_of_the_first(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    return torch.cat([output[:, :1].detach(), output[:, 1:]], dim=1)


def _row_loss(
    pipeline: Any, base: Base, settings: TrainingConfig, latents: TrainingData, row: RowDraw
) -> Tensor:
    cache = latents.target if row.is_target else latents.regularization
    assert cache is not None
    sample, (subject,) = cache[row.sample], settings.subjects
    generator = torch.Generator().manual_seed(row.noise_seed)
    drawn = torch.randn(2, *sample.mean.shape, generator=generator)
    z = pipeline.vae.config.scaling_factor * (sample.mean + sample.std * drawn[0])
    alpha = pipeline.scheduler.alphas_cumprod[row.timestep]
    noisy = alpha.sqrt() * z + (1 - alpha).sqrt() * drawn[1]
    is_velocity = pipeline.scheduler.config.prediction_type == "v_prediction"
    target = alpha.sqrt() * drawn[1] - (1 - alpha).sqrt() * z if is_velocity else drawn[1]
    named = f"{subject.initializer_token} {subject.class_noun}" if row.is_target else "cat"
    features, added = _texts(pipeline, f"{sample.prefix}photo of a {named}", base)
    prediction = pipeline.unet(
        noisy[None], torch.tensor([row.timestep]), features, added_cond_kwargs=added
    ).sample[0]
    error: Tensor = (prediction - target).square()[:, sample.valid_mask.bool()]
    return error.mean()


@torch.no_grad()
def _texts(pipeline: Any, prompt: str, base: Base) -> tuple[Tensor, dict[str, Tensor] | None]:
    encoded = pipeline.encode_prompt(
        prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    if not base.seam.reads_sizes:
        return encoded[0], None
    side = base.profile.resolution
    sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32)
    return encoded[0], {"text_embeds": encoded[2], "time_ids": sizes}
