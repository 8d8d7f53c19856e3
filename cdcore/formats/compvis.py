"""The original implementation's ``delta*.ckpt``, in the names of CompVis' code.

    {"state_dict": {"model.diffusion_model.input_blocks.1.1...attn2.to_k.weight": (D_n, d),
                    "embed": (n, d)}}

Tokens have no names there: the code calls them ``<new1>``, ``<new2>`` and on, by their place. A
compressed file holds ``{"u", "v"}`` for each weight.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.adobe import is_compressed
from cdcore.formats.format import Artifact, Foreign, Format
from cdcore.formats.tensors.container import Content
from cdcore.formats.tensors.key_names import COMPVIS_PREFIX, sgm_names
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import (
    matrix_factors,
    rows_of,
    update_of_factors,
    update_of_weights,
    weights_of,
)

__all__ = ["COMPVIS", "COMPVIS_COMPRESSED"]

_EMBED = "embed"


def _recognises(content: Content) -> bool:
    return "state_dict" in content.tree


def _names(base: KVBase) -> dict[str, str]:
    return {name: COMPVIS_PREFIX + sgm for name, sgm in sgm_names(base.layout).items()}


def _write(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    # Absolute weights in half precision would round away most of the difference.
    weights = weights_of(concept.update, base)
    return _artifacts(concept, base, weights, "delta.ckpt")


def _write_compressed(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    factors = {
        name: {"u": left.to(dtype), "v": right.to(dtype)}
        for name, (left, right) in matrix_factors(concept.update, base.layout).items()
    }
    return _artifacts(concept, base, factors, "compressed_delta.ckpt")


def _artifacts(
    concept: Concept, base: KVBase, entries: Mapping[str, Any], path: str
) -> tuple[Artifact, ...]:
    names = _names(base)
    state: dict[str, Any] = {names[name]: entry for name, entry in entries.items()}
    if concept.tokens:
        state[_EMBED] = torch.stack([row.float() for row in concept.tokens.values()])
    return (Artifact(path=path, tensors={"state_dict": state}),)


def _read(content: Content, base: KVBase) -> Foreign:
    # An early script put the tokens beside the state, a later one into it.
    state = content.tree["state_dict"]
    extra = set(content.tree) - {"state_dict", _EMBED}
    if extra or not isinstance(state, Mapping):
        raise ConceptFileError(
            f"{content.path}: has {sorted(map(str, extra)) or 'no weights'} beside 'state_dict'; "
            "is it a whole checkpoint? Give the delta file"
        )
    plain = {sgm: name for name, sgm in _names(base).items()}
    entries: dict[str, Any] = {
        plain.get(str(key), str(key)): entry for key, entry in state.items() if key != _EMBED
    }
    embed = _embed(content)
    rows = {} if embed is None else _rows(content.path, embed, base)
    if is_compressed(entries):
        return Foreign(update=update_of_factors(content.path, entries, base.layout), tokens=rows)
    update, note = update_of_weights(content.path, entries, base)
    return Foreign(update=update, tokens=rows, notes=(note,) if note else ())


def _embed(content: Content) -> Tensor | None:
    """Return the table of the tokens' rows, (n, d).

    Raises:
        ConceptFileError: It is none.
    """
    state = content.tree["state_dict"]
    inner = state.get(_EMBED) if isinstance(state, Mapping) else None
    embed = content.tree.get(_EMBED) if inner is None else inner
    if embed is not None and (not isinstance(embed, Tensor) or embed.ndim != 2):
        raise ConceptFileError(f"{content.path}: 'embed' is no table of rows; it is damaged")
    return embed


def _tokens(content: Content) -> list[str]:
    embed = _embed(content)
    return [] if embed is None else [_token(number) for number in range(len(embed))]


def _token(number: int) -> str:
    return f"<new{number + 1}>"


def _rows(path: Path, embed: Tensor, base: KVBase) -> dict[str, Tensor]:
    fits = embed.shape[1] == base.layout.text_width
    return {
        _token(number): rows_of(
            path,
            _token(number),
            list(row.split(list(base.encoder_widths))) if fits else row,
            base,
        )
        for number, row in enumerate(embed)
    }


COMPVIS = Format(
    name="compvis",
    title="CompVis delta.ckpt (original implementation)",
    holds="weights",
    suffixes=(".ckpt",),
    write=_write,
    recognises=_recognises,
    read=_read,
    tokens=_tokens,
)
COMPVIS_COMPRESSED = Format(
    name="compvis-compressed",
    title="CompVis compressed delta.ckpt",
    holds="factors",
    suffixes=(".ckpt",),
    write=_write_compressed,
)
