"""Families of bases: how each is recognised, what suits it, and what its U-Net reads.

A base is recognised by the configuration of its U-Net and its text encoders, never by the side of a
latent. Files of other programs name no configuration; they are recognised by the shape of the K/V
stack, without any weights.

D rows of the stack, d text width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cdcore.model.kv_layout import KVLayout
from cdcore.model.profiles import PROFILES, Profile

__all__ = [
    "CLIP_WORDS",
    "FAMILIES",
    "POCKET",
    "PUBLISHED_FAMILIES",
    "SD1",
    "SD2",
    "SDXL",
    "Conditioning",
    "Family",
    "family_of",
    "family_of_layout",
    "family_of_width",
    "profile_of",
]

CLIP_WORDS = 49_408
"""The vocabulary with which every Stable Diffusion reads (Radford et al. 2021)."""

Conditioning = Literal["text", "text_and_size"]
"""``text``: keys and values alone. ``text_and_size``: beside them, in each row, the pooled text and
the ids of sizes and crop (Podell et al. 2023, arXiv 2307.01952, section 2.2)."""

LoraNames = Literal["plain", "sgm"]
"""How kohya's files name the modules of a U-Net: `cdcore.formats.tensors.key_names`."""

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
        conditioning: What its U-Net reads.
        prediction_type: What its U-Net predicts where no scheduler says it.
        lora_names: How LoRA files name its modules.
    """

    name: str
    title: str
    profile: Profile
    layout: KVLayout
    encoder_widths: tuple[int, ...]
    conditioning: Conditioning = "text"
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    lora_names: LoraNames = "plain"

    @property
    def resolution(self) -> int:
        """Side of the pictures that it was trained on, pixels."""
        return self.profile.resolution


def family_of(unet: Mapping[str, Any], texts: Sequence[Mapping[str, Any]]) -> Family:
    """Recognise the family of a base by its configuration.

    Args:
        unet: The U-Net's.
        texts: Each text encoder's.

    Returns:
        The pocket where the vocabulary is smaller than CLIP's: only the pocket world has words of
        its own. SDXL where the U-Net reads sizes. Else SD2 where the text encoder is OpenCLIP's,
        which has another activation (Cherti et al. 2022, arXiv 2212.07143), and SD1 where it is
        OpenAI's.
    """
    first = texts[0] if texts else {}
    if first.get("vocab_size", CLIP_WORDS) < CLIP_WORDS:
        return POCKET
    if unet.get("addition_embed_type") == "text_time":
        return SDXL
    return SD2 if first.get("hidden_act") == "gelu" else SD1


def profile_of(family: Family, unet: Mapping[str, Any], autoencoder: Mapping[str, Any]) -> Profile:
    """Return the default settings of a base, at the resolution that its configuration says.

    Stable Diffusion 2 was published for 512 and for 768 pixels.

    Args:
        family: Its family.
        unet: The U-Net's configuration.
        autoencoder: The autoencoder's.
    """
    cells, levels = unet.get("sample_size"), autoencoder.get("block_out_channels")
    if family is POCKET or not isinstance(cells, int) or not levels:
        return family.profile
    resolution = cells * 2 ** (len(levels) - 1)
    if resolution == family.resolution:
        return family.profile
    return replace(family.profile, resolution=resolution)


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

SD2 = Family(
    name="sd2",
    title="Stable Diffusion 2",
    profile=replace(PROFILES["sd1"], resolution=768),
    layout=_sd1_layout(1024),
    encoder_widths=(1024,),
    prediction_type="v_prediction",
)

SDXL = Family(
    name="sdxl",
    title="Stable Diffusion XL",
    profile=PROFILES["sdxl"],
    layout=_layout(
        down=(_NONE, (2, 2, 640), (2, 10, 1280)),
        up=((3, 10, 1280), (3, 2, 640), _NONE),
        middle=(1, 10, 1280),
        text_width=2048,
    ),
    encoder_widths=(768, 1280),
    conditioning="text_and_size",
    lora_names="sgm",
)

PUBLISHED_FAMILIES = (SD1, SD2, SDXL)
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
    prediction_type="v_prediction",
)
"""The family whose world has words and a judge of its own."""

FAMILIES = (*PUBLISHED_FAMILIES, POCKET)
"""All families."""
