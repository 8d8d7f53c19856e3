"""What the small files of a base say of its parts, read without any model library.

They are read before weights are: what a base is, and whether it is of any use, shows there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdcore.model.families import Family, family_of, profile_of
from cdcore.model.profiles import Profile

__all__ = ["Configuration", "read_configuration"]

_FILES = {
    "pipeline": "model_index.json",
    "unet": "unet/config.json",
    "transformer": "transformer/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "text_encoder_2": "text_encoder_2/config.json",
}


class Configuration(dict[str, Mapping[str, Any]]):
    """What each part says, empty where its file is missing or says nothing.

    Its keys are ``pipeline``, ``unet``, ``transformer``, ``vae``, ``text_encoder`` and
    ``text_encoder_2``.
    """

    @property
    def texts(self) -> tuple[Mapping[str, Any], ...]:
        """What the text encoders say that are there."""
        return tuple(self[part] for part in ("text_encoder", "text_encoder_2") if self[part])

    @property
    def family(self) -> Family:
        """The family of the base."""
        return family_of(self["unet"], self.texts)

    @property
    def profile(self) -> Profile:
        """The default settings of the base."""
        return profile_of(self.family, self["unet"], self["vae"])

    @property
    def zeroes_empty_negatives(self) -> bool:
        """Whether guidance leads away from nothing at all where the negative prompt is empty.

        So SDXL was published; other bases lead away from the features of the empty text.
        """
        is_default = self.family.conditioning == "text_and_size"
        return bool(self["pipeline"].get("force_zeros_for_empty_prompt", is_default))


def read_configuration(folder: Path) -> Configuration:
    """Read what the parts of a diffusers folder say of themselves."""
    return Configuration({part: _json(folder / file) for part, file in _FILES.items()})


def _json(path: Path) -> Mapping[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
