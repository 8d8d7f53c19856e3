"""Embeddings: the row of each modifier token, as a textual-inversion file.

    one text encoder    {"emb_params": (1, d)}
    SDXL                {"clip_l": (1, 768), "clip_g": (1, 1280)}

A1111 and ComfyUI take the file's name for the word in the prompt; diffusers is given the token.
"""

import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.formats.file_names import token_stems
from cdcore.formats.format import Artifact, Format
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import split_row

__all__ = ["EMBEDDING", "embedding_stems"]

_NAMES = {1: ("emb_params",), 2: ("clip_l", "clip_g")}


def embedding_stems(concept: Concept) -> dict[str, str]:
    """Return the file name of each token's embedding, without suffix."""
    return token_stems(concept.tokens, [subject.class_noun for subject in concept.subjects])


def _write(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    if not concept.tokens:
        raise ConfigError(
            f"concept {concept.name!r} has no modifier token, so there is no embedding to write"
        )
    stems = embedding_stems(concept)
    return tuple(
        Artifact(
            path=f"{stems[token]}.safetensors",
            tensors={
                name: part.unsqueeze(0).to(dtype)
                for name, part in zip(
                    _NAMES[len(base.encoder_widths)], split_row(row, base), strict=True
                )
            },
        )
        for token, row in concept.tokens.items()
    )


EMBEDDING = Format(
    name="embedding",
    title="embedding of each modifier token (ComfyUI, A1111, diffusers)",
    holds="rows",
    suffixes=(),
    write=_write,
)
