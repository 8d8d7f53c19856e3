"""The names of the tools that exports are written for; light, for command lines that refuse one."""

from collections.abc import Sequence
from typing import Literal, get_args

from cdcore.errors import ConfigError

__all__ = ["TOOLS", "ToolName", "tools_named"]

ToolName = Literal["comfyui", "a1111", "diffusers", "peft"]


TOOLS: tuple[ToolName, ...] = get_args(ToolName)
"""All that can be exported for."""


def tools_named(text: str | None, *, default: Sequence[ToolName] = ()) -> tuple[ToolName, ...]:
    """Return the tools that a list such as ``comfyui,a1111`` names.

    Args:
        text: Names with commas between them; ``none`` for none, ``all`` for all.
        default: Taken when the text is None.

    Raises:
        ConfigError: A name is unknown.
    """
    if text is None:
        return tuple(default)
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return ()
    if words == ["all"]:
        return TOOLS
    unknown = [word for word in words if word not in TOOLS]
    if unknown or not words:
        raise ConfigError(
            f"export is {text!r}, expected some of {','.join(TOOLS)}, or 'all' or 'none'"
        )
    return tuple(tool for tool in TOOLS if tool in words)
