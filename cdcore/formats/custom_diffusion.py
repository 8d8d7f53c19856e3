"""diffusers' Custom Diffusion weights: absolute weights named by attention processors.

``pytorch_custom_diffusion_weights.bin`` or ``.safetensors`` is flat:

    {"....attn2.processor.to_k_custom_diffusion.weight": (D_n, d),
     "....attn1.processor": {}}                                       in .bin only

and each token has a file with one tensor, ``{"<new1>": (d,)}``, beside it. diffusers counts the
empty entries, so only the .bin can be loaded by it, which is therefore what is written.
"""

import re
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
_NAMELESS = {"emb_params", "emp_params"}
"""What embeddings are called inside by tools that take the file's name for the word."""


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
    strays = []
    for path in _token_files(content.path):
        row = _token(path, base)
        tokens |= row
        if not row:
            strays.append(path.name)
    notes = [note] if note else []
    if strays:
        notes.append(f"no token files of this base, and not read: {', '.join(strays)}")
    if not tokens:
        notes.append(f"no token file beside {content.path.name}: the class noun itself is taught")
    return Foreign(update=update, tokens=tokens, notes=tuple(notes))


def _token_files(weights: Path) -> list[Path]:
    """Find the small files beside the weights, those of a token's last step last.

    Of a token in two formats the safer one is taken.
    """
    files = {path.stem: path for path in _small_files(weights.parent, weights)}
    return sorted(files.values(), key=_step)


def _step(path: Path) -> float:
    """Return the number after a token's name, as in ``<new1>-500``; infinite without one."""
    number = re.search(r">.*?(\d+)$", path.stem)
    return float(number[1]) if number else float("inf")


def _small_files(folder: Path, weights: Path | None = None) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and path != weights
        and path.stem != WEIGHTS_STEM
        and path.stat().st_size <= _MAX_TOKEN_BYTES
    ]


def _tokens(content: Content) -> list[str] | None:
    names = [name for path in _token_files(content.path) for name in _token_tree(path)]
    are_plain = all(name.startswith("<") for name in names)
    return list(dict.fromkeys(names)) if are_plain else None


def _token(path: Path, base: KVBase) -> dict[str, Tensor]:
    """Return the row of a token file; nothing where a small file is of something else.

    Raises:
        ConceptFileError: It is the file of a modifier token, of another base or damaged.
    """
    tree = _token_tree(path)
    try:
        return {token: rows_of(path, token, row, base) for token, row in tree.items()}
    except ConceptFileError:
        if any(token.startswith("<") for token in tree):
            raise
        return {}


def _token_tree(path: Path) -> Mapping[str, Tensor]:
    """Return what a token file holds; nothing of other files that scripts leave beside weights.

    Those are settings, optimisers and schedules, which may hold anything but tensors, and
    embeddings for tools that know no tokens.
    """
    try:
        tree = open_content(path).tree
    except (ConceptFileError, OSError):
        return {}
    is_token = len(tree) == 1 and all(isinstance(row, Tensor) for row in tree.values())
    return tree if is_token and not _NAMELESS & set(tree) else {}


def _earlier(folder: Path) -> list[Path]:
    """Find the weights in a folder and what would be read as their tokens."""
    weights = [folder / f"{WEIGHTS_STEM}{suffix}" for suffix in _SUFFIXES]
    found = [path for path in weights if path.is_file()]
    # Without weights small files are of something else.
    tokens = _small_files(folder) if found else []
    return [*found, *(path for path in tokens if _token_tree(path))]


CUSTOM_DIFFUSION = Format(
    name="custom-diffusion",
    title="diffusers' pytorch_custom_diffusion_weights.bin and token files",
    holds="weights",
    suffixes=(),
    write=_write,
    recognises=_recognises,
    read=_read,
    tokens=_tokens,
    earlier=_earlier,
)
