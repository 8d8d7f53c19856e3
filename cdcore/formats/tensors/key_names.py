"""How each tool names the keys and values of a U-Net: the one place that knows.

The project, diffusers and Adobe's diffusers scripts name a parameter by its place in a diffusers
U-Net (*plain* names):

    down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight

CompVis' code, A1111 and ComfyUI number the same blocks through (*SGM* names): with L resnets in
each level, attention a of down block b is ``input_blocks.{b (L + 1) + a + 1}.1``, that of up block
b ``output_blocks.{b (L + 1) + a}.1``, and the middle one ``middle_block.1``.
"""

import re
from collections.abc import Iterable

from cdcore.model.families import family_of_layout
from cdcore.model.kv_layout import KVLayout

__all__ = [
    "COMPVIS_PREFIX",
    "in_stack_order",
    "lora_modules",
    "module_of",
    "processor_names",
    "sgm_names",
]

COMPVIS_PREFIX = "model.diffusion_model."
"""Stands before SGM names in checkpoints of CompVis' code."""

_PLAIN = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)\.attentions\.(?P<attention>\d+)\."
    r"transformer_blocks\.(?P<layer>\d+)\.attn2\.(?P<part>to_k|to_v)\.weight"
)
_SIDES = {"down": 0, "up": 1, None: 2}


def in_stack_order(names: Iterable[str]) -> list[str]:
    """Return those of ``names`` that are plain names of keys and values, in stack order."""
    found = [(match, name) for name in names if (match := _PLAIN.fullmatch(name))]

    def place(pair: tuple[re.Match[str], str]) -> tuple[int, int, int, int, str]:
        of = pair[0]
        numbers = (int(of["block"] or 0), int(of["attention"]), int(of["layer"]))
        return (_SIDES[of["side"]], *numbers, of["part"])

    return [name for _, name in sorted(found, key=place)]


def module_of(name: str) -> str:
    """Return the module of a parameter: its name without ``.weight``."""
    return name.removesuffix(".weight")


def sgm_names(layout: KVLayout) -> dict[str, str]:
    """Return the SGM name of each plain name."""
    levels = [match for name in layout.names if (match := _PLAIN.fullmatch(name))]
    resnets = 1 + max(
        (int(match["attention"]) for match in levels if match["side"] == "down"), default=0
    )
    return {match.string: _sgm_name(match, resnets) for match in levels}


def _sgm_name(match: re.Match[str], resnets: int) -> str:
    tail = match.string[match.string.index("transformer_blocks.") :]
    if match["side"] is None:
        return f"middle_block.1.{tail}"
    number = int(match["block"]) * (resnets + 1) + int(match["attention"])
    if match["side"] == "down":
        return f"input_blocks.{number + 1}.1.{tail}"
    return f"output_blocks.{number}.1.{tail}"


def processor_names(layout: KVLayout) -> dict[str, str]:
    """Return what diffusers' Custom Diffusion attention processors call each plain name."""
    return {
        name: re.sub(r"attn2\.(to_[kv])\.", r"attn2.processor.\1_custom_diffusion.", name)
        for name in layout.names
    }


def lora_modules(layout: KVLayout) -> dict[str, str]:
    """Return what kohya's and LyCORIS' files call the module of each plain name.

    Files for SDXL are written with SGM names, for all others with plain ones.
    """
    family = family_of_layout(layout)
    sgm = sgm_names(layout) if family is not None and family.lora_names == "sgm" else {}
    return {
        name: "lora_unet_" + module_of(sgm.get(name, name)).replace(".", "_")
        for name in layout.names
    }
