"""Sampling: prompts and concepts to pictures, every request with its own settings in one batch."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from cdcore.concepts.masked_sum import MaskedSum
from cdcore.model.base import Base
from cdcore.model.seam import TextKV
from cdcore.model.update import Update
from cdcore.sampling.guidance import guided
from cdcore.sampling.request import Request
from cdcore.sampling.rows import Row, sample_rows
from cdcore.sampling.solvers import plan

__all__ = ["condition", "sample"]

_MAX_ROWS = 32
"""Pictures that are sampled at once; each takes two rows of the U-Net under guidance."""


def sample(
    base: Base,
    requests: Sequence[Request],
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Sample one picture for each request.

    Args:
        base: The base model.
        requests: Any mix of prompts, concepts, seeds, step counts, solvers and guidance scales.
        on_step: Called with the steps done and the steps in all.

    Returns:
        Pixels (B, 3, S, S), float32 in [-1, 1], on the CPU.

    Raises:
        TokenError: A prompt names a modifier token that its request has no row for.
        ConfigError: A setting is out of range.
        UpdateShapeError: An update is not of this base.
    """
    chunks = [requests[start : start + _MAX_ROWS] for start in range(0, len(requests), _MAX_ROWS)]
    total = sum(max(request.steps for request in chunk) for chunk in chunks)
    done = 0
    pictures = []
    for chunk in chunks:
        before = done

        def report(step: int, _: int, before: int = before) -> None:
            if on_step is not None:
                on_step(before + step, total)

        pictures.append(_sample_chunk(base, chunk, report))
        done += max(request.steps for request in chunk)
    return torch.cat(pictures)


@torch.no_grad()
def condition(
    base: Base,
    text: str,
    update: Update | MaskedSum | None = None,
    tokens: Mapping[str, Tensor] | None = None,
    *,
    is_negative: bool = False,
    size: tuple[int, int] | None = None,
) -> TextKV:
    """Encode one text and project it: all that a row of the U-Net needs to know of a request.

    Texts are never projected together, so that what one becomes does not depend on others.

    Args:
        base: The base model.
        text: A prompt, or what guidance leads away from; may name the modifier tokens.
        update: The update of the concept or of several, on the base's device; None is
            the base itself.
        tokens: The embedding row (d,) of each modifier token.
        is_negative: Whether guidance leads away from the text: then bases that were published so
            take zeros for an empty one.
        size: (width, height) of the picture, pixels; None is the base's resolution.

    Returns:
        Key and value of each layer, (1, L, width) each, and what else the U-Net reads of a text.

    Raises:
        TokenError: The text names a modifier token that has no row.
        UpdateShapeError: The update is not of this base.
    """
    features, pooled = base.text_encoder.read([text], tokens)
    if is_negative and not text and base.zeroes_empty_negatives:
        features = torch.zeros_like(features)
        pooled = None if pooled is None else torch.zeros_like(pooled)
    with_sizes = base.pooled_with_sizes(pooled, size)
    if isinstance(update, MaskedSum):
        masked = [update.at(base.text_encoder, text, tokens or {})]
        return base.seam.project(features, masked, pooled=with_sizes)
    return base.seam.project(features, update, pooled=with_sizes)


@torch.no_grad()
def _sample_chunk(
    base: Base, requests: Sequence[Request], on_step: Callable[[int, int], None]
) -> Tensor:
    text_kv = _text_kv(base, requests)
    guidance_scale = torch.tensor(
        [request.guidance_scale for request in requests], device=base.device
    )
    rows = [
        Row.start(
            plan(base.noise_schedule, request.sampler, request.steps, eta=request.eta),
            request.seed,
            base.latent_shape,
            base.device,
        )
        for request in requests
    ]

    def predict(z: Tensor, timesteps: Tensor, active: tuple[int, ...]) -> Tensor:
        index = torch.tensor(active, device=base.device)
        both = torch.cat([index, index + len(requests)])
        kept = tuple(part[both] for part in text_kv)
        prediction = base.seam.predict(torch.cat([z, z]), timesteps.repeat(2), kept)
        unconditional, conditional = prediction.chunk(2)
        return guided(unconditional, conditional, guidance_scale[index])

    latents = sample_rows(base.noise_schedule, rows, predict, on_step=on_step)
    # One at a time, which costs no more: a picture's bits are then those it has alone.
    return torch.cat([base.decode_latents(one) for one in latents.split(1)]).cpu()


def _text_kv(base: Base, requests: Sequence[Request]) -> TextKV:
    """Project once per request: first the rows that guidance leads away from, then the prompts'."""
    known: dict[tuple[str, int, int, bool], TextKV] = {}

    def of(text: str, request: Request, *, is_negative: bool) -> TextKV:
        # Only there do the two sides of guidance take the same text for something else.
        is_other = is_negative and base.zeroes_empty_negatives
        key = text, id(request.update), id(request.tokens), is_other
        if key not in known:
            known[key] = condition(
                base, text, request.update, request.tokens, is_negative=is_negative
            )
        return known[key]

    rows = [of(request.negative_prompt, request, is_negative=True) for request in requests]
    rows += [of(request.prompt, request, is_negative=False) for request in requests]
    return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
