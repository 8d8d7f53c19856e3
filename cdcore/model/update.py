"""An update: the difference W_tuned - W0 of a whole K/V stack, dense or as factors.

D rows of the stack, d text width, r rank; matrix n of the stack has D_n rows, and rank r_n.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cdcore.errors import UpdateShapeError

__all__ = ["Block", "Update"]

Block = tuple[Tensor, Tensor]
"""Left (D_n, r_n) and right (r_n, d) factor of one matrix of the stack."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Update:
    """A difference of a K/V stack, never an absolute weight.

    One of three forms: ``weight``; or ``left`` and ``right``, and the update is ``left @ right``;
    or ``blocks``, and matrix n of the update is ``blocks[n][0] @ blocks[n][1]``.

    Attributes:
        weight: (D, d).
        left: (D, r).
        right: (r, d).
        blocks: Two factors of each matrix, in stack order; ranks may differ.

    Raises:
        UpdateShapeError: The tensors given are not one of the three forms.
    """

    weight: Tensor | None = None
    left: Tensor | None = None
    right: Tensor | None = None
    blocks: tuple[Block, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse anything but one dense matrix or factors that fit."""
        whole = (self.weight, self.left, self.right)
        match [None if part is None else tuple(part.shape) for part in whole]:
            case [(_, _), None, None] if self.blocks is None:
                return
            case [None, (_, _), (_, _)] if self.blocks is None and _fit(self.pairs):
                return
            case [None, None, None] if self.blocks and _fit(self.blocks):
                return
        shapes = {name: tuple(tensor.shape) for name, tensor in self.tensors().items()}
        raise UpdateShapeError(
            f"an update was given as {shapes or 'nothing'}; expected weight (D, d) alone, or left "
            "(D, r) with right (r, d), or such a pair for each matrix, with r at least 1"
        )

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "Update":
        """Make an update of what `tensors` has returned.

        Raises:
            UpdateShapeError: They are not one of the three forms.
        """
        numbers = range(sum(name.startswith("left.") for name in tensors))
        expected = {f"{side}.{number}" for side in ("left", "right") for number in numbers}
        if expected:
            if expected != set(tensors):
                raise UpdateShapeError(
                    f"an update has the tensors {', '.join(sorted(tensors))}; expected left.N and "
                    "right.N for each matrix from 0 on"
                )
            return cls(
                blocks=tuple(
                    (tensors[f"left.{number}"], tensors[f"right.{number}"]) for number in numbers
                )
            )
        unknown = sorted(set(tensors) - {"weight", "left", "right"})
        if unknown:
            raise UpdateShapeError(f"an update has no part named {', '.join(unknown)}")
        return cls(
            weight=tensors.get("weight"), left=tensors.get("left"), right=tensors.get("right")
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the parts by name: what is stored, and what `of_tensors` reads."""
        whole = {"weight": self.weight, "left": self.left, "right": self.right}
        parts = {name: tensor for name, tensor in whole.items() if tensor is not None}
        for number, (left, right) in enumerate(self.blocks or ()):
            parts |= {f"left.{number}": left, f"right.{number}": right}
        return parts

    @property
    def pairs(self) -> tuple[Block, ...]:
        """The factors whose products, one below the other, are the update; none when dense."""
        if self.left is not None and self.right is not None:
            return ((self.left, self.right),)
        return self.blocks or ()

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        if self.weight is not None:
            return self.weight.shape[0], self.weight.shape[1]
        return sum(left.shape[0] for left, _ in self.pairs), self.pairs[0][1].shape[1]

    def apply(self, features: Tensor) -> Tensor:
        """Return ``features @ update.T``.

        Args:
            features: (..., d), on the device of the update; its dtype is the working dtype.

        Returns:
            (..., D), the dtype of ``features``.
        """
        dtype = features.dtype
        if self.weight is not None:
            return functional.linear(features, self.weight.to(dtype))
        inner = functional.linear(features, torch.cat([right.to(dtype) for _, right in self.pairs]))
        parts = inner.split([len(right) for _, right in self.pairs], dim=-1)
        applied = [
            functional.linear(part, left.to(dtype))
            for part, (left, _) in zip(parts, self.pairs, strict=True)
        ]
        return applied[0] if len(applied) == 1 else torch.cat(applied, dim=-1)

    def dense(self) -> Tensor:
        """Return the update as one matrix (D, d), in float32 or better."""
        if self.weight is not None:
            return _widened(self.weight)
        return torch.cat([_widened(left) @ _widened(right) for left, right in self.pairs])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Update":
        """Return the update on another device, or in another dtype; shares memory where it can."""
        return self._mapped(lambda part: part.to(device, dtype))

    def scaled(self, factor: float) -> "Update":
        """Return ``factor`` times the update."""
        return self._mapped(lambda part: part * factor, lambda right: right)

    def _mapped(
        self,
        change: Callable[[Tensor], Tensor],
        change_right: Callable[[Tensor], Tensor] | None = None,
    ) -> "Update":
        of_right = change_right or change
        return Update.of_tensors(
            {
                name: (of_right if name.startswith("right") else change)(tensor)
                for name, tensor in self.tensors().items()
            }
        )


def _fit(pairs: tuple[Block, ...]) -> bool:
    shapes = [(tuple(left.shape), tuple(right.shape)) for left, right in pairs]
    if not all(len(left) == len(right) == 2 for left, right in shapes):
        return False
    inner = all(left[1] == right[0] > 0 for left, right in shapes)
    return inner and len({right[1] for _, right in shapes}) == 1


def _widened(part: Tensor) -> Tensor:
    return part.to(torch.promote_types(part.dtype, torch.float32))
