"""Adobe's ``delta.bin``: absolute weights by plain name, and the rows of the modifier tokens.

    {"unet": {name: (D_n, d)}, "modifier_token": {"<new1>": (d,)}}

SDXL has two rows, ``[(768,), (1280,)]``, for each token. A compressed file holds, for each name,
``{"u": (D_n, r), "v": (r, d)}`` with ``W = W0 + u v``: a difference already. Custom Diffusion's
diffusers scripts write and read these files.
"""

from collections.abc import Mapping
from typing import Any

import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.format import Artifact, Foreign, Format
from cdcore.formats.tensors.container import Content
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import (
    matrix_factors,
    rows_of,
    split_row,
    update_of_factors,
    update_of_weights,
    weights_of,
)

__all__ = ["ADOBE", "ADOBE_COMPRESSED", "is_compressed"]

_TOP = {"unet", "modifier_token"}


def is_compressed(weights: Any) -> bool:
    """Return whether entries are factors ``u`` and ``v`` rather than tensors."""
    return isinstance(weights, Mapping) and any(
        isinstance(entry, Mapping) and "u" in entry for entry in weights.values()
    )


def _recognises(content: Content) -> bool:
    return "unet" in content.tree


def _write(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    # Absolute weights in half precision would round away most of the difference.
    tree = {"unet": weights_of(concept.update, base), "modifier_token": _rows(concept, base)}
    return (Artifact(path="delta.bin", tensors=tree),)


def _write_compressed(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    factors = {
        name: {"u": left.to(dtype), "v": right.to(dtype)}
        for name, (left, right) in matrix_factors(concept.update, base.layout).items()
    }
    tree = {"unet": factors, "modifier_token": _rows(concept, base)}
    return (Artifact(path="compressed_delta.bin", tensors=tree),)


def _rows(concept: Concept, base: KVBase) -> dict[str, Any]:
    rows = {token: split_row(row, base) for token, row in concept.tokens.items()}
    return {token: parts[0] if len(parts) == 1 else list(parts) for token, parts in rows.items()}


def _read(content: Content, base: KVBase) -> Foreign:
    beyond = sorted(set(content.tree) - _TOP)
    weights = content.tree["unet"]
    tokens = content.tree.get("modifier_token", {})
    if beyond or not isinstance(weights, Mapping) or not isinstance(tokens, Mapping):
        what = f"has {beyond[0]!r:.80}" if beyond else "is not laid out like a delta.bin"
        raise ConceptFileError(
            f"{content.path}: {what}; a concept is the keys and values under 'unet', and tokens "
            "under 'modifier_token'"
        )
    rows = {
        str(token): rows_of(content.path, str(token), row, base) for token, row in tokens.items()
    }
    if is_compressed(weights):
        return Foreign(update=update_of_factors(content.path, weights, base.layout), tokens=rows)
    update, note = update_of_weights(content.path, weights, base)
    return Foreign(update=update, tokens=rows, notes=(note,) if note else ())


def _tokens(content: Content) -> list[str]:
    rows = content.tree.get("modifier_token", {})
    return list(map(str, rows)) if isinstance(rows, Mapping) else []


ADOBE = Format(
    name="adobe",
    title="Adobe's delta.bin (diffusers scripts)",
    holds="weights",
    suffixes=(".bin",),
    write=_write,
    recognises=_recognises,
    read=_read,
    tokens=_tokens,
)
ADOBE_COMPRESSED = Format(
    name="adobe-compressed",
    title="Adobe's compressed delta.bin",
    holds="factors",
    suffixes=(".bin",),
    write=_write_compressed,
)
