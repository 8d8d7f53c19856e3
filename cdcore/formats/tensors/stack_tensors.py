"""Between the named tensors of a foreign file and an update: checked by name, shape and value.

D rows of the stack, d text width, n tokens.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cdcore.errors import ConceptFileError
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import Block, DenseUpdate, FactoredUpdate, Update

__all__ = [
    "matrix_factors",
    "rows_of",
    "split_row",
    "update_of_factors",
    "update_of_weights",
    "weights_of",
]

_FAR = 0.3
"""Training moves the stack by well below this share of its length."""
_BEYOND = ("to_q", "to_out", "attn1", "text_encoder", "text_model")
_SHOWN = 80


def weights_of(update: Update, base: KVBase) -> dict[str, Tensor]:
    """Return the absolute weights W0 + Delta by plain name, float32.

    Raises:
        ConfigError: The base's weights are not known.
    """
    parts = base.layout.split(base.weights)
    return {
        name: parts[name] + (left @ right if right is not None else left)
        for name, (left, right) in _float_matrices(update, base.layout).items()
    }


def update_of_weights(path: object, weights: Mapping[str, Any], base: KVBase) -> tuple[Update, str]:
    """Return the difference to a base of absolute weights, and a note or nothing.

    Args:
        path: The path of the file, for messages.
        weights: The weights by plain name.
        base: With weights.

    Raises:
        ConceptFileError: A key is foreign or missing, a shape is wrong, or a value not finite.
        ConfigError: The base's weights are not known.
    """
    check_names(path, weights, base.layout)
    parts = []
    for (name, before), width in zip(
        base.layout.split(base.weights).items(), base.layout.widths, strict=True
    ):
        after = _checked(path, name, weights[name], (width, base.layout.text_width))
        parts.append(after - before)
    update = DenseUpdate(torch.cat(parts))
    share = float(update.dense().norm() / base.weights.norm())
    if share <= _FAR:
        return update, ""
    return update, (
        f"the weights are {share:.0%} away from those of {base.name}, far more than training moves "
        "them: is that the base it was trained on?"
    )


def update_of_factors(path: object, factors: Mapping[str, Any], layout: KVLayout) -> Update:
    """Return the update of the original implementation's compressed entries, ``u @ v`` each.

    Args:
        path: The path of the file, for messages.
        factors: ``u`` (D_n, r_n) and ``v`` (r_n, d) by plain name; r_n may be 0.
        layout: The layout of the stack.

    Raises:
        ConceptFileError: A key is foreign or missing, a shape is wrong, or a value not finite.
    """
    check_names(path, factors, layout)
    blocks: list[Block] = []
    for name, width in zip(layout.names, layout.widths, strict=True):
        entry = factors[name]
        if not isinstance(entry, Mapping) or set(entry) != {"u", "v"}:
            raise ConceptFileError(f"{path}: {name} is stored whole, not as 'u' and 'v'")
        rank = entry["u"].shape[-1] if isinstance(entry["u"], Tensor) else -1
        left = _checked(path, f"{name} u", entry["u"], (width, rank))
        right = _checked(path, f"{name} v", entry["v"], (rank, layout.text_width))
        if rank == 0:
            left, right = torch.zeros(width, 1), torch.zeros(1, layout.text_width)
        blocks.append((left, right))
    return FactoredUpdate(tuple(blocks))


def matrix_factors(update: Update, layout: KVLayout) -> dict[str, Block]:
    """Return the factors (D_n, r_n) and (r_n, d) of each matrix of a factored update.

    Raises:
        ValueError: The update is dense.
    """
    made = {}
    for name, (left, right) in _float_matrices(update, layout).items():
        if right is None:
            raise ValueError("the update is dense: compress it first")
        made[name] = (left, right)
    return made


def rows_of(path: object, token: str, rows: Any, base: KVBase) -> Tensor:
    """Return one row (d,) of what a file holds of a token: a row, or one for each text encoder.

    Raises:
        ConceptFileError: The shapes are not those of this base.
    """
    given = rows if isinstance(rows, list | tuple) else [rows]
    if len(given) != len(base.encoder_widths):
        raise ConceptFileError(
            f"{path}: the token {token!r:.80} has {len(given)} rows, {base.name} has "
            f"{len(base.encoder_widths)} text encoders; give the right --base"
        )
    parts = [
        _checked(path, f"token {token!r:.80}", _flat(row), (width,))
        for row, width in zip(given, base.encoder_widths, strict=True)
    ]
    return torch.cat(parts)


def split_row(row: Tensor, base: KVBase) -> tuple[Tensor, ...]:
    """Return the part (width,) of a token's row (d,) for each text encoder."""
    parts: tuple[Tensor, ...] = row.float().split(list(base.encoder_widths))
    return parts


def check_names(path: object, given: Mapping[str, Any], layout: KVLayout) -> None:
    """Refuse anything but the keys and values of the base.

    Raises:
        ConceptFileError: Names the first key that is foreign or missing.
    """
    foreign = sorted(set(given) - set(layout.names))
    missing = [name for name in layout.names if name not in given]
    if foreign and any(part in foreign[0] for part in _BEYOND):
        raise ConceptFileError(
            f"{path}: holds {foreign[0][:_SHOWN]}: more than the keys and values of text "
            "cross-attention was trained, which a concept cannot express; install its weights"
        )
    if foreign or missing:
        what = f"the key {foreign[0][:_SHOWN]!r}" if foreign else f"no {missing[0]}"
        raise ConceptFileError(
            f"{path}: has {what}; expected the {len(layout.names)} keys and values of the base: "
            "give the right --base"
        )


def _float_matrices(update: Update, layout: KVLayout) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Return each matrix, dense (D_n, d) with None, or as two factors; float32 or better."""
    parts = update.to("cpu", torch.float32).by_matrix(layout.widths)
    return dict(zip(layout.names, parts, strict=True))


def _flat(row: Any) -> Any:
    return row.squeeze(0) if isinstance(row, Tensor) and row.ndim == 2 else row


def _checked(path: object, name: str, tensor: Any, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of the file in float32.

    Raises:
        ConceptFileError: This is no tensor, or one of another shape, or not finite.
    """
    if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
        found = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise ConceptFileError(
            f"{path}: {name} is {found}, expected {shape}; give the base it was made for"
        )
    made = tensor.detach().float()
    if not bool(made.isfinite().all()):
        raise ConceptFileError(f"{path}: {name} holds values that are no numbers; it is damaged")
    return made
