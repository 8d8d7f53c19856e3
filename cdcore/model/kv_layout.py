"""The layout of a K/V stack: which of its rows belongs to which matrix of the U-Net.

It needs no torch of its own, so that a base can be recognised, and a concept refused, within a
second.

D rows of the stack, d text width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cdcore.errors import BaseModelError, UpdateShapeError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["KVLayout", "TextUpdate", "text_attentions"]


class TextUpdate(Protocol):
    """What `Seam.project` needs of an update: an `Update` is one."""

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""

    def apply(self, features: "Tensor") -> "Tensor":
        """Return what it adds to the keys and values of features (B, L, d): (B, L, D)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KVLayout:
    """Where each row of the K/V stack belongs.

    Attributes:
        names: The U-Net's parameter names in stack order, key before value in each layer.
        widths: Rows of each parameter; they sum to D.
        text_width: Columns of the stack, d.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    text_width: int

    @classmethod
    def of(cls, unet: "nn.Module") -> "KVLayout":
        """Find the keys and values of a U-Net.

        Args:
            unet: A diffusers ``UNet2DConditionModel`` whose cross-attention reads text features.

        Raises:
            BaseModelError: The U-Net has no text cross-attention, or several text widths.
        """
        parameters = {
            f"{name}.{part}.weight": module.get_submodule(part).weight
            for name, module in text_attentions(unet)
            for part in ("to_k", "to_v")
        }
        shapes = [tuple(weight.shape) for weight in parameters.values()]
        text_widths = {text_width for _, text_width in shapes}
        if len(text_widths) != 1:
            raise BaseModelError(
                f"the U-Net's cross-attention has text widths {sorted(text_widths)}; expected "
                "exactly one: use a Stable Diffusion type model"
            )
        return cls(
            names=tuple(parameters),
            widths=tuple(width for width, _ in shapes),
            text_width=text_widths.pop(),
        )

    def stack(self, unet: "nn.Module") -> "Tensor":
        """Return the stack (D, d) of the U-Net's weights, a copy."""
        # Whoever has a U-Net has torch.
        import torch

        parameters = dict(unet.named_parameters())
        return torch.cat([parameters[name].detach() for name in self.names])

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d) of the stack."""
        return sum(self.widths), self.text_width

    def split(self, stack: "Tensor") -> "dict[str, Tensor]":
        """Return the part (width, d) of ``stack`` (D, d) for each parameter name, as views."""
        return dict(zip(self.names, stack.split(list(self.widths)), strict=True))

    def check(self, update: TextUpdate) -> None:
        """Refuse an update that does not fit the stack.

        Raises:
            UpdateShapeError: The shapes differ.
        """
        if update.shape != self.shape:
            raise UpdateShapeError(
                f"the update has shape {update.shape}, the K/V stack of this base {self.shape}; "
                "use the base that the concept was trained on"
            )
        # One pair of factors for the whole stack, and a dense update, fit by their shape alone.
        heights = getattr(update, "heights", self.widths)
        if len(heights) > 1 and heights != self.widths:
            raise UpdateShapeError(
                f"the update has factors for {len(heights)} matrices, whose rows are not "
                f"those of the {len(self.widths)} of this base; use the base that the concept was "
                "trained on"
            )


def text_attentions(unet: "nn.Module") -> Iterator[tuple[str, Any]]:
    """Yield the name and the module of each text cross-attention, in stack order."""
    for name, module in unet.named_modules():
        if name.endswith(".attn2"):
            yield name, module
