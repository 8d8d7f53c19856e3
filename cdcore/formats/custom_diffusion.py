"""diffusers' Custom Diffusion weights: absolute weights named by attention processors.

``pytorch_custom_diffusion_weights.bin`` or ``.safetensors`` is flat:

    {"....attn2.processor.to_k_custom_diffusion.weight": (D_n, d),
     "....attn1.processor": {}}                                       in .bin only

and each token has a file with one tensor, ``{"<new1>": (d,)}``, beside it. diffusers counts the
empty entries, so only the .bin can be loaded by it, which is therefore what is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.file_names import token_stems
from cdcore.formats.format import Artifact, Foreign, Format
from cdcore.formats.tensors.container import Content, open_content
from cdcore.formats.tensors.key_names import processor_names
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import rows_of, split_row, update_of_weights, weights_of

__all__ = ["CUSTOM_DIFFUSION", "WEIGHTS_STEM"]

WEIGHTS_STEM = "pytorch_custom_diffusion_weights"
_SUFFIXES = (".bin", ".safetensors")
_MAX_TOKEN_BYTES = 2**20
_SELF = ".attn1.processor"


def _recognises(content: Content) -> bool:
    return any("_custom_diffusion." in str(key) for key in content.tree)


def _write(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    stems = token_stems(concept.tokens, [subject.class_noun for subject in concept.subjects])
    rows = [
        Artifact(path=f"{stems[token]}.bin", tensors={token: _only(split_row(row, base))})
        for token, row in concept.tokens.items()
    ]
    names = processor_names(base.layout)
    tree: dict[str, Any] = {}
    # Absolute weights in half precision would round away most of the difference.
    for name, weight in weights_of(concept.update, base).items():
        block = name.partition(".attn2.")[0]
        tree[block + _SELF] = {}
        tree[names[name]] = weight
    return (Artifact(path=f"{WEIGHTS_STEM}.bin", tensors=tree), *rows)


def _only(parts: tuple[Tensor, ...]) -> Tensor:
    if len(parts) != 1:
        raise ConceptFileError(
            "diffusers' Custom Diffusion files hold one row for each token, this base has "
            f"{len(parts)} text encoders; write another format"
        )
    return parts[0]


def _read(content: Content, base: KVBase) -> Foreign:
    plain = {key: name for name, key in processor_names(base.layout).items()}
    entries = {
        plain.get(key, key): entry
        for key, entry in content.tree.items()
        if not (key.endswith(_SELF) and isinstance(entry, Mapping) and not entry)
    }
    update, note = update_of_weights(content.path, entries, base)
    tokens: dict[str, Tensor] = {}
    for path in _token_files(content.path):
        tokens |= _token(path, base)
    notes = [note] if note else []
    if not tokens:
        notes.append(f"no token file beside {content.path.name}: the class noun itself is taught")
    return Foreign(update=update, tokens=tokens, notes=tuple(notes))


def _token_files(weights: Path) -> list[Path]:
    """Find the small files beside the weights; of a token in two formats, the safer one."""
    return list({path.stem: path for path in _small_files(weights.parent, weights)}.values())


def _small_files(folder: Path, weights: Path | None = None) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in _SUFFIXES
        and path.is_file()
        and path != weights
        and path.stem != WEIGHTS_STEM
        and path.stat().st_size <= _MAX_TOKEN_BYTES
    ]


def _token(path: Path, base: KVBase) -> dict[str, Tensor]:
    """Return the row of a token file; nothing where a small file is of something else."""
    tree = open_content(path).tree
    if not _is_token(tree):
        return {}
    ((token, row),) = tree.items()
    return {str(token): rows_of(path, str(token), row, base)}


def _is_token(tree: Mapping[str, Any]) -> bool:
    return len(tree) == 1 and isinstance(next(iter(tree.values())), Tensor)


def _earlier(folder: Path) -> list[Path]:
    """Find the weights in a folder and what would be read as their tokens."""
    weights = [folder / f"{WEIGHTS_STEM}{suffix}" for suffix in _SUFFIXES]
    found = [path for path in weights if path.is_file()]
    # Without weights small files are of something else.
    tokens = _small_files(folder) if found else []
    return [*found, *(path for path in tokens if _is_token(open_content(path).tree))]


CUSTOM_DIFFUSION = Format(
    name="custom-diffusion",
    title="diffusers' pytorch_custom_diffusion_weights.bin and token files",
    holds="weights",
    suffixes=(),
    write=_write,
    recognises=_recognises,
    read=_read,
    earlier=_earlier,
)
