"""A concept in a stock diffusers pipeline, for those who sample without this project.

A stock pipeline projects its text features with weights of its own, so the update is added to them:
``to_k`` and ``to_v`` become ``W0 + update``, and each modifier token gets a place in the tokenizer
and a row in the text encoder. The pipeline's other methods work as before. What was changed is
remembered with its U-Net, so that `remove` gives back the base bit for bit, and another `apply`
replaces the first instead of adding to it.

Nothing here imports diffusers: any pipeline with a U-Net, text encoder and tokenizer of the Stable
Diffusion type will do, and of SDXL one with two of the latter.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept
from cdcore.errors import BaseMismatchError, BaseModelError, TokenError, UpdateShapeError
from cdcore.model.base import fingerprint
from cdcore.model.kv_layout import KVLayout

__all__ = ["apply", "remove"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Applied:
    """What a pipeline was before.

    Attributes:
        weights: Each changed parameter and a copy, on the CPU, of what it held.
        tokens: Those that were added.
        fingerprint: The fingerprint of the base.
        pooled_at: Of each text encoder that pools, by what it finds the end of a text.
    """

    weights: tuple[tuple[nn.Parameter, Tensor], ...]
    tokens: tuple[str, ...]
    fingerprint: str
    pooled_at: tuple[tuple[Any, int], ...]


# By U-Net, because pipelines share their parts; weak, so that a pipeline can be let go of.
_applied: WeakKeyDictionary[nn.Module, _Applied] = WeakKeyDictionary()


def apply(
    pipe: Any, concept: Concept | str | os.PathLike[str], *, allow_other_base: bool = False
) -> Concept:
    """Put a concept into a pipeline, in place of the one that is there.

    Pipelines that share this one's parts get it as well. If it is refused nothing has changed.

    Args:
        pipe: A diffusers ``StableDiffusionPipeline`` or ``StableDiffusionXLPipeline``, or another
            pipeline with the same parts, in float32 or float16, on any device. Convert it to
            bfloat16 afterwards.
        concept: A concept file, or a concept.
        allow_other_base: Take a base of the same shape for the one it was trained on.

    Returns:
        The concept; `Concept.phrases` says how prompts name it.

    Raises:
        ConceptFileError: The file is no concept file.
        BaseMismatchError: The pipeline's base is not the one that the concept was trained on.
        BaseModelError: This is no such pipeline, or its weights cannot be changed in place.
        TokenError: The pipeline has one of the modifier tokens already.
    """
    if not isinstance(concept, Concept):
        concept = load_concept(Path(concept))
    parameters = _parameters(pipe)
    before = _applied.get(pipe.unet)
    known = _checked_base(pipe, concept, before, allow_other_base=allow_other_base)
    added = before.tokens if before is not None else ()
    words = {word for tokenizer, _ in _readers(pipe) for word in tokenizer.get_vocab()}
    taken = words & (set(concept.tokens) - set(added))
    if taken:
        raise TokenError(
            f"the pipeline already has a token {', '.join(sorted(taken))} of its own; unload it "
            "with pipe.unload_textual_inversion"
        )
    remove(pipe)
    originals = tuple((weight, weight.detach().to("cpu", copy=True)) for weight in parameters)
    _applied[pipe.unet] = _Applied(
        weights=originals,
        tokens=tuple(concept.tokens),
        fingerprint=known,
        pooled_at=_pooled_at_the_end(pipe) if concept.tokens else (),
    )
    rows = concept.update.dense().split([len(weight) for weight in parameters])
    with torch.no_grad():
        for (weight, original), change in zip(originals, rows, strict=True):
            weight.copy_(original.float() + change.to("cpu", torch.float32))
    _add_tokens(pipe, concept)
    return concept


def remove(pipe: Any) -> None:
    """Give a pipeline its base back, bit for bit; one without a concept stays as it is."""
    before = _applied.pop(pipe.unet, None)
    if before is None:
        return
    with torch.no_grad():
        for weight, original in before.weights:
            weight.copy_(original)
        for holder, end in before.pooled_at:
            holder.eos_token_id = end
        if before.tokens:
            # It also moves up the rows of tokens that others have added since.
            for tokenizer, encoder in _readers(pipe):
                pipe.unload_textual_inversion(list(before.tokens), tokenizer, encoder)
                encoder.config.vocab_size = len(_table(encoder))


def _parameters(pipe: Any) -> list[nn.Parameter]:
    """Return the keys and values of a pipeline in stack order."""
    parts = ("unet", "tokenizer", "text_encoder", "unload_textual_inversion")
    missing = [name for name in parts if getattr(pipe, name, None) is None]
    if missing:
        raise BaseModelError(
            f"a {type(pipe).__name__} cannot take a concept: it has no {', '.join(missing)}; give "
            "a StableDiffusionPipeline or a StableDiffusionXLPipeline"
        )
    for tokenizer, encoder in _readers(pipe):
        if len(tokenizer) != len(_table(encoder)):
            raise BaseModelError(
                f"the pipeline's tokenizer has {len(tokenizer)} tokens and its text encoder "
                f"{len(_table(encoder))} rows; expected as many"
            )
    names = KVLayout.of(pipe.unet).names
    weights = [pipe.unet.get_submodule(name.removesuffix(".weight")).weight for name in names]
    for name, weight in zip(names, weights, strict=True):
        if weight.is_meta or not weight.is_floating_point():
            raise BaseModelError(
                f"the pipeline's {name} cannot be changed in place ({weight.dtype} on "
                f"{weight.device}); apply the concept before it is quantized or offloaded"
            )
    return weights


def _checked_base(
    pipe: Any, concept: Concept, before: _Applied | None, *, allow_other_base: bool
) -> str:
    """Return the fingerprint of the pipeline's base, with or without a concept in it."""
    try:
        KVLayout.of(pipe.unet).check(concept.update)
    except UpdateShapeError as error:
        raise BaseMismatchError(f"concept {concept.name!r}: {error}") from error
    tables = [_table(encoder) for _, encoder in _readers(pipe)]
    width = sum(table.shape[1] for table in tables)
    for token, row in concept.tokens.items():
        if row.shape != (width,):
            raise BaseMismatchError(
                f"concept {concept.name!r}: the row of {token} has shape {tuple(row.shape)}, a "
                f"token of this pipeline {(width,)}; use the base it was trained on"
            )
    known = before.fingerprint if before is not None else _fingerprint(pipe)
    if known != concept.base_fingerprint and not allow_other_base:
        raise BaseMismatchError(
            f"concept {concept.name!r} was trained on base {concept.base_name!r} "
            f"({concept.base_fingerprint[:12]}), this pipeline is another one ({known[:12]}, "
            f"{tables[0].dtype}, {len(tables[0])} tokens); use that base in float32 or float16, "
            "before other embeddings are loaded, or pass allow_other_base=True"
        )
    return known


def _fingerprint(pipe: Any) -> str:
    stack = torch.cat([weight.detach() for weight in _parameters(pipe)])
    return fingerprint(stack, *(_table(encoder) for _, encoder in _readers(pipe)))


def _readers(pipe: Any) -> list[tuple[Any, Any]]:
    """Return each text encoder with its tokenizer; SDXL has two."""
    readers = [(pipe.tokenizer, pipe.text_encoder)]
    second = getattr(pipe, "text_encoder_2", None)
    return readers if second is None else [*readers, (pipe.tokenizer_2, second)]


def _pooled_at_the_end(pipe: Any) -> tuple[tuple[Any, int], ...]:
    """Let SDXL's texts be pooled at their end token; returns what to put back.

    As published, a text is pooled at its highest id. That is the end token's, until a token is
    added above it.
    """
    before = []
    for tokenizer, encoder in _readers(pipe)[1:]:
        for holder in (encoder.config, encoder.text_model):
            before.append((holder, holder.eos_token_id))
            holder.eos_token_id = tokenizer.eos_token_id
    return tuple(before)


def _table(encoder: Any) -> Tensor:
    table: Tensor = encoder.get_input_embeddings().weight
    return table


def _add_tokens(pipe: Any, concept: Concept) -> None:
    """Give each modifier token the next id and, at that place of the table, its row."""
    if not concept.tokens:
        return
    start = 0
    for tokenizer, encoder in _readers(pipe):
        tokenizer.add_tokens(list(concept.tokens))
        # Its default draws rows from the spread of all others, only for them to be replaced.
        encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        table = _table(encoder)
        end = start + table.shape[1]
        for token, row in concept.tokens.items():
            with torch.no_grad():
                table[tokenizer.convert_tokens_to_ids(token)] = row[start:end].to(table)
        start = end
