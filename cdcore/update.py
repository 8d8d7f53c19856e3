"""An update: the difference W_tuned - W0 of a whole K/V stack, dense or as two factors.

D rows of the stack, d text width, r rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.errors import UpdateShapeError

__all__ = ["Update"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Update:
    """A difference of a K/V stack, never an absolute weight.

    Either ``weight`` is given, or ``left`` and ``right`` are, and the update is ``left @ right``.

    Attributes:
        weight: (D, d).
        left: (D, r).
        right: (r, d).

    Raises:
        UpdateShapeError: The tensors given are not one of the two forms.
    """

    weight: Tensor | None = None
    left: Tensor | None = None
    right: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse anything but one dense matrix or two factors that fit."""
        shapes = [None if part is None else tuple(part.shape) for part in self._parts()]
        match shapes:
            case [(_, _), None, None]:
                return
            case [None, (_, inner), (outer, _)] if inner == outer and inner > 0:
                return
        raise UpdateShapeError(
            f"weight, left and right have shapes {shapes}; expected weight (D, d) alone, "
            "or left (D, r) with right (r, d) and r at least 1"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        if self.weight is not None:
            return self.weight.shape[0], self.weight.shape[1]
        assert self.left is not None
        assert self.right is not None
        return self.left.shape[0], self.right.shape[1]

    def apply(self, features: Tensor) -> Tensor:
        """Return ``features @ update.T``.

        Args:
            features: (..., d), on the device of the update; its dtype is the working dtype.

        Returns:
            (..., D), the dtype of ``features``.
        """
        if self.weight is not None:
            return functional.linear(features, self.weight.to(features.dtype))
        assert self.left is not None
        assert self.right is not None
        inner = functional.linear(features, self.right.to(features.dtype))
        return functional.linear(inner, self.left.to(features.dtype))

    def dense(self) -> Tensor:
        """Return the update as one matrix (D, d), in float32 or better."""
        if self.weight is not None:
            return self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        assert self.left is not None
        assert self.right is not None
        dtype = torch.promote_types(self.left.dtype, torch.float32)
        return self.left.to(dtype) @ self.right.to(dtype)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Update":
        """Return the update on another device, or in another dtype; shares memory where it can."""
        weight, left, right = (
            None if part is None else part.to(device, dtype) for part in self._parts()
        )
        return Update(weight=weight, left=left, right=right)

    def scaled(self, factor: float) -> "Update":
        """Return ``factor`` times the update."""
        if self.weight is not None:
            return Update(weight=self.weight * factor)
        assert self.left is not None
        return Update(left=self.left * factor, right=self.right)

    def _parts(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.weight, self.left, self.right
