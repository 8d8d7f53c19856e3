"""Tests of `cdcore.formats.exports.tool_names`."""

import pytest

from cdcore.errors import ConfigError
from cdcore.formats.exports.tool_names import TOOLS, tools_named


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("comfyui,a1111", ("comfyui", "a1111")),
        ("peft, Diffusers", ("diffusers", "peft")),
        ("all", TOOLS),
        ("none", ()),
        (None, ("peft",)),
    ],
)
def test_tools_are_named_in_a_list(text: str | None, tools: tuple[str, ...]) -> None:
    assert tools_named(text, default=("peft",)) == tools


@pytest.mark.parametrize("text", ["", "comfy", "comfyui,none", ","])
def test_unknown_tools_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected some of comfyui,a1111,diffusers,peft"):
        tools_named(text)
