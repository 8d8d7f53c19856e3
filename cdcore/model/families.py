"""Families of bases: how each is recognised, what suits it, and the shape of its K/V stack.

A base is recognised by its configuration: who reads with fewer words than CLIP has is a pocket,
and the others differ in their text width. Files of other programs name no configuration; they are
recognised by the shape of the K/V stack, without any weights.

D rows of the stack, d text width.
"""

from dataclasses import dataclass, replace
from typing import Any

from cdcore.model.profiles import PROFILES, Profile
from cdcore.model.seam import KVLayout

__all__ = [
    "FAMILIES",
    "POCKET",
    "PUBLISHED_FAMILIES",
    "SD1",
    "Family",
    "family_of",
    "family_of_layout",
    "family_of_width",
]

_CLIP_WORDS = 49_408
"""The vocabulary with which every Stable Diffusion reads (Radford et al. 2021)."""

_Blocks = tuple[tuple[int, int, int], ...]
"""Text attentions, transformer layers in each, and width, of each block; (0, 0, 0) has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Bases that share an architecture.

    Attributes:
        name: Short.
        title: What people call it.
        profile: The default settings of its bases.
        layout: The layout of its K/V stack.
        encoder_widths: The width of each text encoder; side by side they are the text width.
    """

    name: str
    title: str
    profile: Profile
    layout: KVLayout
    encoder_widths: tuple[int, ...]

    @property
    def resolution(self) -> int:
        """Side of the pictures that it was trained on, pixels."""
        return self.profile.resolution


def family_of(unet_config: Any, text_config: Any) -> Family:
    """Recognise the family of a base by its configuration.

    Args:
        unet_config: The U-Net's, with ``cross_attention_dim``.
        text_config: The text encoder's, with ``vocab_size``.

    Returns:
        The pocket where the vocabulary is smaller than CLIP's: only the pocket world has words of
        its own. Else the published family with this text width; a width that none has counts as
        Stable Diffusion 1, whose settings suit most.
    """
    if text_config.vocab_size < _CLIP_WORDS:
        return POCKET
    return family_of_width(unet_config.cross_attention_dim) or SD1


def family_of_layout(layout: KVLayout) -> Family | None:
    """Return the published family with this layout, or None."""
    return next((family for family in PUBLISHED_FAMILIES if family.layout == layout), None)


def family_of_width(text_width: int) -> Family | None:
    """Return the published family with this text width, or None."""
    return next((f for f in PUBLISHED_FAMILIES if f.layout.text_width == text_width), None)


def _layout(down: _Blocks, up: _Blocks, middle: tuple[int, int, int], text_width: int) -> KVLayout:
    """Name the keys and values in the order in which a diffusers U-Net holds its modules."""
    places = [
        (f"{side}_blocks.{number}", block)
        for side, blocks in (("down", down), ("up", up))
        for number, block in enumerate(blocks)
    ]
    widths = {
        f"{place}.attentions.{attention}.transformer_blocks.{layer}.attn2.{part}.weight": width
        for place, (attentions, layers, width) in [*places, ("mid_block", middle)]
        for attention in range(attentions)
        for layer in range(layers)
        for part in ("to_k", "to_v")
    }
    return KVLayout(names=tuple(widths), widths=tuple(widths.values()), text_width=text_width)


_NONE = (0, 0, 0)


def _sd1_layout(text_width: int) -> KVLayout:
    return _layout(
        down=((2, 1, 320), (2, 1, 640), (2, 1, 1280), _NONE),
        up=(_NONE, (3, 1, 1280), (3, 1, 640), (3, 1, 320)),
        middle=(1, 1, 1280),
        text_width=text_width,
    )


SD1 = Family(
    name="sd1",
    title="Stable Diffusion 1",
    profile=PROFILES["sd1"],
    layout=_sd1_layout(768),
    encoder_widths=(768,),
)

PUBLISHED_FAMILIES = (
    SD1,
    Family(
        name="sd2",
        title="Stable Diffusion 2",
        profile=PROFILES["sd1"],
        layout=_sd1_layout(1024),
        encoder_widths=(1024,),
    ),
    Family(
        name="sdxl",
        title="Stable Diffusion XL",
        profile=replace(PROFILES["sd1"], resolution=1024),
        layout=_layout(
            down=(_NONE, (2, 2, 640), (2, 10, 1280)),
            up=((3, 10, 1280), (3, 2, 640), _NONE),
            middle=(1, 10, 1280),
            text_width=2048,
        ),
        encoder_widths=(768, 1280),
    ),
)
"""Families that other programs know, so that their files are of them.

SD1 has D = 24,960 and d = 768; SD2 the same rows and d = 1024; SDXL 166,400 and 2048.
"""

POCKET = Family(
    name="pocket",
    title="the pocket",
    profile=PROFILES["pocket"],
    layout=_layout(
        down=(_NONE, (1, 1, 64), (1, 1, 96)),
        up=((2, 1, 96), (2, 1, 64), _NONE),
        middle=(1, 1, 96),
        text_width=128,
    ),
    encoder_widths=(128,),
)
"""The family whose world has words and a judge of its own."""

FAMILIES = (*PUBLISHED_FAMILIES, POCKET)
"""All families."""
