"""The seam: text keys and values are an input of the U-Net.

In a cross-attention layer ``K = W_k c`` and ``V = W_v c`` depend on the text features ``c`` alone:
not on the latent, not on the timestep. Custom Diffusion (Kumari et al. 2023, arXiv 2212.04488,
section 3.2) changes ``W_k`` and ``W_v`` and nothing else in the U-Net. So the customised model is

    text_kv    = project(c, W0 + update)        the whole difference between two concepts
    prediction = predict(z_t, t, text_kv)       the U-Net: frozen, shared, never changed

All ``to_k`` and ``to_v`` matrices of the base, stacked in layer order, are the K/V stack ``W0``
(D, d). Training, merging, sampling and serving all pass through `Seam.project` and `Seam.predict`.

SDXL's U-Net also reads pooled text and the sizes of a picture: they too depend on the request
alone, and travel with its keys and values.

B rows of a batch, L prompt tokens, D rows of the stack, d text width, p width of pooled text.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdcore.model.kv_layout import KVLayout, TextUpdate, text_attentions
from cdcore.model.update import Update

__all__ = ["Seam", "TextKV"]


TextKV = tuple[Tensor, ...]
"""All that rows of the U-Net know of their texts: the key and the value of each cross-attention
layer, in stack order, (B, L, width) each; and where the U-Net reads sizes (SDXL) also pooled text
(B, p) and the ids of sizes and crop (B, 6)."""


class Seam:
    """A frozen U-Net whose cross-attention reads keys and values that the caller projects."""

    def __init__(
        self,
        unet: nn.Module,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Take over ``unet``: freeze it and let its cross-attention read injected keys and values.

        Args:
            unet: A diffusers ``UNet2DConditionModel`` whose cross-attention reads text features,
                with its weights as they were read.
            device: Where it is moved to; None leaves it where it is.
            dtype: What it is to compute in; None leaves its weights as they are.

        Raises:
            BaseModelError: The U-Net has no text cross-attention, or several text widths.
        """
        self.layout = KVLayout.of(unet)
        self.read_stack = self.layout.stack(unet)
        """W0, (D, d), as it was read: numbers that a file keeps are computed from it, since they
        must not depend on what the U-Net computes in."""
        if device is not None:
            unet.to(device)
        if dtype is not None:
            unet.to(dtype)
        self.unet = unet.eval().requires_grad_(False)
        self.stack = self.read_stack.to(device=device, dtype=dtype)
        """W0, (D, d), on the U-Net's device and in its dtype."""
        config: Any = getattr(unet, "config", None)
        self.reads_sizes = getattr(config, "addition_embed_type", None) == "text_time"
        """Whether the U-Net reads pooled text and sizes beside keys and values."""
        for name, module in unet.named_modules():
            if name.endswith(".attn1"):
                module.processor = _SelfAttention()
        for index, (_, module) in enumerate(text_attentions(unet)):
            module.processor = _TextAttention(index)

    @property
    def device(self) -> torch.device:
        """Where the U-Net lives."""
        return self.stack.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype the U-Net computes in."""
        return self.stack.dtype

    def project(
        self,
        features: Tensor,
        updates: Update | Sequence[TextUpdate | None] | None = None,
        *,
        pooled: tuple[Tensor, Tensor] | None = None,
        first_token_gradient: bool = True,
    ) -> TextKV:
        """Project text features to the keys and values of every layer.

        Args:
            features: (B, L, d).
            updates: One update for all rows, or one for each row; None is the base itself.
            pooled: Pooled text (B, p), and the ids of sizes and crop (B, 6), of a U-Net that reads
                them.
            first_token_gradient: False lets the first token use the update but give it no
                gradient, as the original method trains.

        Returns:
            Key and value of each layer, (B, L, width) each, in the U-Net's dtype; then what is
            ``pooled``.

        Raises:
            UpdateShapeError: An update does not fit the stack.
            ValueError: There are not as many updates as rows.
        """
        features = features.to(self.dtype)
        projected = functional.linear(features, self.stack)
        if isinstance(updates, Update):
            self.layout.check(updates)
            projected = projected + _applied(updates, features, first_token_gradient)
        elif updates is not None:
            for rows, update in self._rows_by_update(len(features), updates):
                index = torch.tensor(rows, device=features.device)
                applied = _applied(update, features[index], first_token_gradient)
                projected = projected.index_add(0, index, applied)
        # One split: slicing inside each processor would make every backward write a full tensor.
        return torch.split(projected, list(self.layout.widths), dim=-1) + (pooled or ())

    def predict(self, z_t: Tensor, timesteps: Tensor, text_kv: TextKV) -> Tensor:
        """Run the U-Net.

        Args:
            z_t: Noisy latents, (B, C, h, w).
            timesteps: (B,) int64.
            text_kv: From `project`, with B rows.

        Returns:
            The prediction, (B, C, h, w), in the U-Net's dtype.

        Raises:
            ValueError: The U-Net reads pooled text and sizes, and they are missing; or it does not.
        """
        count = len(self.layout.names)
        added = None
        if self.reads_sizes != (len(text_kv) > count):
            raise ValueError("pooled text and sizes are what an SDXL's U-Net reads, and no other's")
        if self.reads_sizes:
            pooled, sizes = text_kv[count:]
            added = {"text_embeds": pooled.to(self.dtype), "time_ids": sizes}
        output: Tensor = self.unet(
            z_t.to(self.dtype),
            timesteps,
            encoder_hidden_states=None,
            cross_attention_kwargs={"text_kv": text_kv[:count]},
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return output

    def _rows_by_update(
        self, count: int, updates: Sequence[TextUpdate | None]
    ) -> list[tuple[list[int], TextUpdate]]:
        groups: dict[int, tuple[list[int], TextUpdate]] = {}
        for row, update in zip(range(count), updates, strict=True):
            if update is not None:
                self.layout.check(update)
                groups.setdefault(id(update), ([], update))[0].append(row)
        return list(groups.values())


def _applied(update: TextUpdate, features: Tensor, first_token_gradient: bool) -> Tensor:
    applied = update.apply(features)
    if first_token_gradient or not torch.is_grad_enabled():
        return applied
    return torch.cat([applied[:, :1].detach(), applied[:, 1:]], dim=1)


class _Attention(Protocol):
    heads: int
    to_q: nn.Module
    to_k: nn.Module
    to_v: nn.Module
    to_out: nn.ModuleList


class _TextAttention:
    """Cross-attention that reads its keys and values from ``text_kv``."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __call__(
        self,
        attn: _Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        text_kv: TextKV,
    ) -> Tensor:
        key, value = text_kv[2 * self._index : 2 * self._index + 2]
        return _attend(attn, hidden_states, key, value)


class _SelfAttention:
    """Plain self-attention; it accepts ``text_kv``, which diffusers hands to every processor."""

    def __call__(
        self,
        attn: _Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        text_kv: Any = None,
    ) -> Tensor:
        return _attend(attn, hidden_states, attn.to_k(hidden_states), attn.to_v(hidden_states))


def _attend(attn: _Attention, hidden_states: Tensor, key: Tensor, value: Tensor) -> Tensor:
    query, key, value = (
        part.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        for part in (attn.to_q(hidden_states), key, value)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    output: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
    return output
