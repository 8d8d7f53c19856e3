"""What a format needs to know of a base: the layout of its K/V stack, and for some its weights.

Formats that hold a difference need no weights at all; where the base is of a known family, a file
can be converted without it. Formats that hold absolute weights need W0, read from the U-Net alone:
a diffusers folder, or a checkpoint in one file.

D rows of the stack, d text width.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdcore.errors import BaseModelError, ConceptFileError, ConfigError, first_line
from cdcore.formats.tensors.container import read_selected
from cdcore.formats.tensors.key_names import COMPVIS_PREFIX, in_stack_order, sgm_names
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES, Family, family_of_layout
from cdcore.model.kv_layout import KVLayout
from cdcore.model.location import named_folder

__all__ = ["KVBase"]

_WEIGHT_FILES = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KVBase:
    """A base, as far as formats know it.

    Attributes:
        name: What the user calls it, or the family's title.
        layout: The layout of the K/V stack.
        encoder_widths: The width of each text encoder; side by side they are the text width.
        is_v_prediction: Whether it predicts velocity.
        stack: W0 (D, d) float32 on the CPU, or None where only the layout is known.
    """

    name: str
    layout: KVLayout
    encoder_widths: tuple[int, ...]
    is_v_prediction: bool = False
    stack: Tensor | None = None

    @classmethod
    def of_family(cls, family: Family) -> "KVBase":
        """Describe any base of a family, without weights."""
        return cls(name=family.title, layout=family.layout, encoder_widths=family.encoder_widths)

    @classmethod
    def of(cls, base: Base) -> "KVBase":
        """Describe a base; an outline has no weights."""
        layout, stack = base.seam.layout, base.seam.read_stack
        return cls(
            name=base.name,
            layout=layout,
            encoder_widths=base.text_encoder.widths,
            is_v_prediction=base.noise_schedule.prediction_type == "v_prediction",
            stack=None if stack.is_meta else stack.float().cpu(),
        )

    @classmethod
    def load(cls, name: str) -> "KVBase":
        """Read the keys and values of a base, and nothing else of it where that is possible.

        Args:
            name: A diffusers folder, a checkpoint in one file, an alias or a hub id.

        Raises:
            BaseModelError: There is no such base, or it cannot be read.
        """
        path = Path(name).expanduser()
        try:
            if path.is_file():
                return _of_checkpoint(name, path)
            return _of_folder(name, named_folder(str(path) if name.startswith("~") else name))
        except (ConceptFileError, OSError, ValueError, KeyError) as error:
            raise BaseModelError(f"base {name!r} cannot be read: {first_line(error)}") from error

    @property
    def family(self) -> Family | None:
        """The family it is of, or None."""
        return family_of_layout(self.layout)

    @property
    def weights(self) -> Tensor:
        """W0, (D, d).

        Raises:
            ConfigError: The weights are not known.
        """
        if self.stack is None:
            raise ConfigError(
                "the format holds the weights themselves, not their difference to a base, so the "
                "base is needed; give --base FOLDER, a checkpoint file, or a name such as sd1.4"
            )
        return self.stack


def _of_folder(name: str, folder: Path) -> KVBase:
    unet = folder / "unet"
    file = next((unet / f for f in _WEIGHT_FILES if (unet / f).is_file()), None)
    shards = sorted(unet.glob("diffusion_pytorch_model-*.safetensors"))
    files = [file] if file is not None else shards
    if not files:
        raise BaseModelError(
            f"base {name!r}: no U-Net weights in {unet}; expected a diffusers folder"
        )
    tensors: dict[str, Tensor] = {}
    for part in files:
        tensors |= read_selected(part, _is_cross_attention)
    base = _of_plain(name, tensors)
    widths = tuple(
        int(_config(folder, f"{part}/config.json")["hidden_size"])
        for part in ("text_encoder", "text_encoder_2")
        if (folder / part / "config.json").is_file()
    )
    schedule = _config(folder, "scheduler/scheduler_config.json")
    return replace(
        base,
        encoder_widths=base.encoder_widths if base.family else widths or base.encoder_widths,
        is_v_prediction=schedule.get("prediction_type") == "v_prediction",
    )


def _is_cross_attention(key: str) -> bool:
    return ".attn2.to_" in key


def _config(folder: Path, name: str) -> Mapping[str, Any]:
    path = folder / name
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _of_checkpoint(name: str, path: Path) -> KVBase:
    tensors = read_selected(path, _is_cross_attention)
    for family in PUBLISHED_FAMILIES:
        plain = {COMPVIS_PREFIX + sgm: name for name, sgm in sgm_names(family.layout).items()}
        found = {plain[key]: tensor for key, tensor in tensors.items() if key in plain}
        base = _of_plain(name, found) if len(found) == len(plain) else None
        if base is not None and base.layout == family.layout:
            return replace(base, encoder_widths=family.encoder_widths)
    return _of_plain(name, tensors)


def _of_plain(name: str, tensors: Mapping[str, Tensor]) -> KVBase:
    names = in_stack_order(tensors)
    if not names or len({tensors[key].shape[1] for key in names}) != 1:
        raise BaseModelError(
            f"base {name!r} has no keys and values of text cross-attention; expected a Stable "
            "Diffusion type model"
        )
    parts = [tensors[key].float() for key in names]
    layout = KVLayout(
        names=tuple(names),
        widths=tuple(len(part) for part in parts),
        text_width=parts[0].shape[1],
    )
    family = family_of_layout(layout)
    return KVBase(
        name=name,
        layout=layout,
        encoder_widths=family.encoder_widths if family else (layout.text_width,),
        stack=torch.cat(parts),
    )
