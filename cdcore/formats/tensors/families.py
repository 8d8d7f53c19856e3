"""Families of bases whose K/V stack is known by its shape, without any weights.

D rows of the stack, d text width.
"""

from dataclasses import dataclass

from cdcore.model.seam import KVLayout

__all__ = ["FAMILIES", "Family", "family_of_layout", "family_of_width"]

_Blocks = tuple[tuple[int, int, int], ...]
"""Text attentions, transformer layers in each, and width, of each block; (0, 0, 0) has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Bases that share an architecture.

    Attributes:
        name: Short.
        title: As people call it.
        layout: Of the K/V stack.
        encoder_widths: Of each text encoder; side by side they are the text width.
        resolution: It was trained at, pixels.
    """

    name: str
    title: str
    layout: KVLayout
    encoder_widths: tuple[int, ...]
    resolution: int


def family_of_layout(layout: KVLayout) -> Family | None:
    """Return the family with this layout, or None."""
    return next((family for family in FAMILIES if family.layout == layout), None)


def family_of_width(text_width: int) -> Family | None:
    """Return the family with this text width, or None."""
    return next((f for f in FAMILIES if f.layout.text_width == text_width), None)


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


FAMILIES = (
    Family(
        name="sd1",
        title="Stable Diffusion 1",
        layout=_sd1_layout(768),
        encoder_widths=(768,),
        resolution=512,
    ),
    Family(
        name="sd2",
        title="Stable Diffusion 2",
        layout=_sd1_layout(1024),
        encoder_widths=(1024,),
        resolution=512,
    ),
    Family(
        name="sdxl",
        title="Stable Diffusion XL",
        layout=_layout(
            down=(_NONE, (2, 2, 640), (2, 10, 1280)),
            up=((3, 10, 1280), (3, 2, 640), _NONE),
            middle=(1, 10, 1280),
            text_width=2048,
        ),
        encoder_widths=(768, 1280),
        resolution=1024,
    ),
)
"""SD1 has D = 24,960 and d = 768; SD2 the same rows and d = 1024; SDXL 166,400 and 2048."""
