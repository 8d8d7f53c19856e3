"""An update: the difference W_tuned - W0 of a whole K/V stack, dense or as factors.

D rows of the stack, d text width, r rank; matrix n of the stack has D_n rows, and rank r_n.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.errors import UpdateShapeError

__all__ = ["Block", "DenseUpdate", "FactoredUpdate", "Update", "update_of_tensors"]

Block = tuple[Tensor, Tensor]
"""Left (D_n, r_n) and right (r_n, d) factor of one matrix of the stack, or of the whole stack."""


class Update(ABC):
    """A difference of a K/V stack, never an absolute weight."""

    __slots__ = ()

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(D, d)."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the parts by name: what is stored, and what `update_of_tensors` reads."""

    @abstractmethod
    def by_matrix(self, widths: Sequence[int]) -> tuple[tuple[Tensor, Tensor | None], ...]:
        """Return each matrix of the stack: dense (D_n, d) with None, or as its two factors.

        Args:
            widths: D_n of each matrix, in stack order.
        """

    @abstractmethod
    def apply(self, features: Tensor) -> Tensor:
        """Return ``features @ update.T``.

        Args:
            features: (..., d), on the device of the update; its dtype is the working dtype.

        Returns:
            (..., D), the dtype of ``features``.
        """

    @abstractmethod
    def dense(self) -> Tensor:
        """Return the update as one matrix (D, d), in float32 or better."""

    @abstractmethod
    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Return the update on another device, or in another dtype; shares memory where it can."""

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """Return ``factor`` times the update."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseUpdate(Update):
    """An update as one matrix.

    Attributes:
        weight: (D, d).

    Raises:
        UpdateShapeError: The tensor is no matrix.
    """

    weight: Tensor

    def __post_init__(self) -> None:
        """Refuse anything but a matrix."""
        if self.weight.ndim != 2:
            raise _no_update(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        return self.weight.shape[0], self.weight.shape[1]

    def tensors(self) -> dict[str, Tensor]:
        """Return the matrix by its name."""
        return {"weight": self.weight}

    def by_matrix(self, widths: Sequence[int]) -> tuple[tuple[Tensor, Tensor | None], ...]:
        """Return each matrix of the stack (D_n, d), with None."""
        return tuple((part, None) for part in self.weight.split(list(widths)))

    def apply(self, features: Tensor) -> Tensor:
        """Return ``features @ weight.T``."""
        return functional.linear(features, self.weight.to(features.dtype))

    def dense(self) -> Tensor:
        """Return the matrix (D, d), in float32 or better."""
        return _widened(self.weight)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Return the update on another device, or in another dtype; shares memory where it can."""
        return type(self)(self.weight.to(device, dtype))

    def scaled(self, factor: float) -> Self:
        """Return ``factor`` times the update."""
        return type(self)(self.weight * factor)


@dataclass(frozen=True, slots=True, eq=False)
class FactoredUpdate(Update):
    """An update as factors, whose products stand one below the other.

    Attributes:
        pairs: The factors of each matrix, in stack order, whose ranks may differ; or one pair,
            left (D, r) and right (r, d), for the whole stack.

    Raises:
        UpdateShapeError: There is no pair, or the factors do not fit.
    """

    pairs: tuple[Block, ...]

    def __post_init__(self) -> None:
        """Refuse factors that do not fit."""
        matrices = bool(self.pairs) and all(
            left.ndim == right.ndim == 2 for left, right in self.pairs
        )
        if (
            not matrices
            or any(left.shape[1] != len(right) or not len(right) for left, right in self.pairs)
            or len({right.shape[1] for _, right in self.pairs}) > 1
        ):
            raise _no_update(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        return sum(self.heights), self.pairs[0][1].shape[1]

    @property
    def heights(self) -> tuple[int, ...]:
        """Rows of each pair's product."""
        return tuple(len(left) for left, _ in self.pairs)

    def tensors(self) -> dict[str, Tensor]:
        """Return the factors by name, numbered where there are several pairs."""
        if len(self.pairs) == 1:
            ((left, right),) = self.pairs
            return {"left": left, "right": right}
        parts: dict[str, Tensor] = {}
        for number, (left, right) in enumerate(self.pairs):
            parts |= {f"left.{number}": left, f"right.{number}": right}
        return parts

    def by_matrix(self, widths: Sequence[int]) -> tuple[tuple[Tensor, Tensor | None], ...]:
        """Return the two factors of each matrix of the stack."""
        if len(self.pairs) > 1:
            return self.pairs
        ((left, right),) = self.pairs
        return tuple((part, right) for part in left.split(list(widths)))

    def apply(self, features: Tensor) -> Tensor:
        """Return ``features @ update.T``, without making the products."""
        dtype = features.dtype
        inner = functional.linear(features, torch.cat([right.to(dtype) for _, right in self.pairs]))
        parts = inner.split([len(right) for _, right in self.pairs], dim=-1)
        applied = [
            functional.linear(part, left.to(dtype))
            for part, (left, _) in zip(parts, self.pairs, strict=True)
        ]
        return applied[0] if len(applied) == 1 else torch.cat(applied, dim=-1)

    def dense(self) -> Tensor:
        """Return the products as one matrix (D, d), in float32 or better."""
        return torch.cat([_widened(left) @ _widened(right) for left, right in self.pairs])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Return the update on another device, or in another dtype; shares memory where it can."""
        return type(self)(
            tuple((left.to(device, dtype), right.to(device, dtype)) for left, right in self.pairs)
        )

    def scaled(self, factor: float) -> Self:
        """Return ``factor`` times the update; the left factors carry it."""
        return type(self)(tuple((left * factor, right) for left, right in self.pairs))


def update_of_tensors(tensors: Mapping[str, Tensor]) -> Update:
    """Make an update of what `Update.tensors` has returned.

    Args:
        tensors: ``weight``; or ``left`` and ``right``; or ``left.N`` and ``right.N`` for each
            matrix N from 0 on.

    Raises:
        UpdateShapeError: The names or the shapes are none of these.
    """
    numbers = range(sum(name.startswith("left.") for name in tensors))
    match sorted(tensors):
        case ["weight"]:
            return DenseUpdate(tensors["weight"])
        case ["left", "right"]:
            return FactoredUpdate(((tensors["left"], tensors["right"]),))
        case names if set(names) == {
            f"{side}.{number}" for side in ("left", "right") for number in numbers
        }:
            return FactoredUpdate(
                tuple((tensors[f"left.{number}"], tensors[f"right.{number}"]) for number in numbers)
            )
        case names:
            raise UpdateShapeError(
                f"an update has the parts {', '.join(names) or '(none)'}; expected weight alone, "
                "or left with right, or left.N with right.N for each matrix from 0 on"
            )


def _no_update(update: Update) -> UpdateShapeError:
    shapes = {name: tuple(tensor.shape) for name, tensor in update.tensors().items()}
    return UpdateShapeError(
        f"an update was given as {shapes or 'nothing'}; expected weight (D, d) alone, or left "
        "(D, r) with right (r, d), or such a pair for each matrix, with r at least 1"
    )


def _widened(part: Tensor) -> Tensor:
    return part.to(torch.promote_types(part.dtype, torch.float32))
