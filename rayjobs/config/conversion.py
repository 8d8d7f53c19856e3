"""The configuration of a conversion as a user writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdcore.command_line.values import Location
from cdcore.concepts.rank_rule import Rule, RuleName
from cdcore.errors import ConfigError
from cdcore.formats.exports.tool_names import TOOLS
from cdcore.model.modifier_tokens import check_modifier_token
from cdcore.registry.entry import check_name

if TYPE_CHECKING:
    import torch

__all__ = ["LOW_RANK", "SUFFIXES", "ConvertJob"]

RULES: tuple[RuleName, ...] = ("rank", "energy", "mass", "size")


FormatName = Literal[
    "concept",
    "adobe",
    "adobe-compressed",
    "compvis",
    "compvis-compressed",
    "custom-diffusion",
    "lycoris",
    "kohya",
    "diffusers-lora",
    "peft-lora",
    "embedding",
    "comfyui",
    "a1111",
    "diffusers",
    "peft",
]
"""A format; or a tool: a folder with all that it needs, and USE.md."""

SUFFIXES: Mapping[FormatName, str] = {
    "concept": ".safetensors",
    "adobe": ".bin",
    "adobe-compressed": ".bin",
    "compvis": ".ckpt",
    "compvis-compressed": ".ckpt",
    "lycoris": ".safetensors",
    "kohya": ".safetensors",
    "diffusers-lora": ".safetensors",
}
"""How the file of a format ends; the formats that are not here are folders."""

LOW_RANK: tuple[FormatName, ...] = (
    *("adobe-compressed", "compvis-compressed", "kohya", "diffusers-lora", "peft-lora"),
    *TOOLS,
)
"""Formats and tools that take factors alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertJob:
    """What to convert, and to what.

    Raises:
        ConfigError: A setting is impossible.
        RegistryError: No registry can have a concept of that name.
        TokenError: Prompts could not name a token.
    """

    source: Path
    """Concept file, or another tool's file or folder; its format is found out. May stand first,
    without this flag."""
    output: Path
    """File to write, or folder for formats of several files, which holds one concept; may stand
    second, without this flag."""
    to: FormatName
    """Format to write, or tool to write all files for."""
    base: Location | None = None
    """Base model: a diffusers folder, a checkpoint file or a name such as sd1.4. Needed where the
    source or the result holds absolute weights; unset, the concept's own."""
    class_noun: tuple[str, ...] = ()
    """What kind of thing each token is, in their order; other tools' files do not say it."""
    modifier_token: tuple[str, ...] = ()
    """What prompts call each token, such as <mycat>, in the same order; unset, what the source
    calls it, which is <new1> in files of Adobe's scripts."""
    name: str | None = None
    """Name of the concept; unset, that of the source."""
    dtype: Literal["fp16", "fp32"] = "fp16"
    """Of stored differences and rows; absolute weights are always fp32."""
    rank: int | None = None
    """LoRA-type formats: keep this rank."""
    energy: float | None = None
    """LoRA-type formats: keep this share of the sum of squared singular values of each matrix;
    unset, factors are written exactly and anything dense at 0.95."""
    mass: float | None = None
    """LoRA-type formats: keep this share of the sum of singular values."""
    size: float | None = None
    """LoRA-type formats: let the factors take at most this many MB in half precision."""
    overwrite: bool = False
    """Replace an output file that exists, or the concept that was written to the folder before;
    other files there stay."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        given = [name for name in RULES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"give one of --{' and --'.join(given)}, not both")
        if self.output.resolve() == self.source.resolve():
            raise ConfigError(f"--output is {self.output}, the source itself; give another name")
        if self.name is not None:
            check_name(self.name)
        for token in self.modifier_token:
            check_modifier_token(token)
            if self.modifier_token.count(token) > 1:
                raise ConfigError(
                    f"--modifier-token has {token} twice; give each a name of its own"
                )

    @property
    def torch_dtype(self) -> "torch.dtype":
        """What differences and rows are stored in."""
        import torch

        return torch.float16 if self.dtype == "fp16" else torch.float32

    @property
    def rule(self) -> Rule | None:
        """How far to compress, or None."""
        for name in RULES:
            value = getattr(self, name)
            if value is not None:
                return Rule(name=name, value=value * 1e6 if name == "size" else value)
        return None
