"""The parts of a base as the model libraries read them, put together to one."""

from dataclasses import dataclass
from typing import Any

import torch

from cdcore.errors import BaseModelError
from cdcore.model.base import Base, fingerprint
from cdcore.model.configuration import Configuration
from cdcore.model.noise_schedule import NoiseSchedule
from cdcore.model.quiet_loading import quiet_loading
from cdcore.model.seam import Seam
from cdcore.model.text_encoder import TextEncoder

__all__ = ["Parts", "put_together"]

_BYTE_TOKENS = 512
"""The smallest vocabulary: each byte inside and at the end of a word."""

_NO_SIGNAL = 2.0**-24
"""What stands for no signal at all at the last timestep, as in diffusers' solvers: Lin et al. 2023
(arXiv 2305.08891) let schedules end in exactly none, where nothing can be predicted from it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """The parts of a base.

    Attributes:
        configuration: What they say of themselves.
        tokenizers: transformers ``CLIPTokenizer``, one or two.
        text_models: transformers ``CLIPTextModel``, and of SDXL a second one with a projection.
        autoencoder: diffusers ``AutoencoderKL``.
        unet: diffusers ``UNet2DConditionModel``.
        scheduler: diffusers ``DDPMScheduler``, for its table of noise levels.
    """

    configuration: Configuration
    tokenizers: tuple[Any, ...]
    text_models: tuple[Any, ...]
    autoencoder: Any
    unet: Any
    scheduler: Any


def put_together(
    name: str, parts: Parts, *, device: torch.device | str | None, dtype: torch.dtype
) -> Base:
    """Make a base of its parts.

    Args:
        name: What the user calls it.
        parts: In float32.
        device: Where to put it; None leaves it where it is, and parts on ``meta`` have no
            fingerprint.
        dtype: What the U-Net computes in.

    Raises:
        BaseModelError: The parts do not fit.
        ConfigError: The noise levels are none that a sampler can use.
    """
    _check_words(name, parts)
    tokenizer, *_ = parts.tokenizers
    first, *others = parts.text_models
    configuration = parts.configuration
    # diffusers advises against any cast by `to`, even where no part asks for float32.
    with quiet_loading():
        seam = Seam(parts.unet, device=device, dtype=dtype)
    tables = [model.get_input_embeddings().weight for model in parts.text_models]
    if device is not None:
        for module in (*parts.text_models, parts.autoencoder):
            module.to(device)
    return Base(
        name=name,
        fingerprint="" if seam.read_stack.is_meta else fingerprint(seam.read_stack, *tables),
        family=configuration.family,
        profile=configuration.profile,
        text_encoder=TextEncoder(
            tokenizer, first, (parts.tokenizers[1], others[0]) if others else None
        ),
        autoencoder=parts.autoencoder.eval().requires_grad_(False),
        seam=seam,
        noise_schedule=_noise_schedule(parts.scheduler),
        zeroes_empty_negatives=configuration.zeroes_empty_negatives,
    )


def _noise_schedule(scheduler: Any) -> NoiseSchedule:
    return NoiseSchedule(
        alphas_cumprod=scheduler.alphas_cumprod.double().clamp(min=_NO_SIGNAL),
        prediction_type=scheduler.config.prediction_type,
    )


def _check_words(name: str, parts: Parts) -> None:
    for tokenizer, model in zip(parts.tokenizers, parts.text_models, strict=True):
        words = len(model.get_input_embeddings().weight)
        # Without its files transformers makes a tokenizer that knows no word.
        if not _BYTE_TOKENS < len(tokenizer) <= words:
            raise BaseModelError(
                f"base {name!r}: the tokenizer has {len(tokenizer)} tokens and the text encoder "
                f"{words}; is the tokenizer's folder complete?"
            )
    first, *others = parts.tokenizers
    if any(other.get_vocab() != first.get_vocab() for other in others):
        raise BaseModelError(
            f"base {name!r}: its two tokenizers have different words; expected the same, as in "
            "every Stable Diffusion XL"
        )
