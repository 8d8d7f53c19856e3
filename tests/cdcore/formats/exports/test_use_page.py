"""Tests of `cdcore.formats.exports.use_page`."""

import pytest

from cdcore.concepts.concept import Concept
from cdcore.formats.exports.tool_names import TOOLS, ToolName
from cdcore.formats.exports.tools import TOOL_FOLDERS
from cdcore.formats.exports.use_page import use_page
from cdcore.formats.tensors.kv_base import KVBase


@pytest.mark.parametrize("tool", TOOLS)
def test_a_page_names_the_files_the_place_and_a_prompt(
    tool: ToolName, dense: Concept, kv_base: KVBase
) -> None:
    page = use_page(dense, kv_base, TOOL_FOLDERS[tool], ["a/one.safetensors"], error=0.0)
    assert page.startswith(f"# {dense.name} for {TOOL_FOLDERS[tool].title}\n")
    assert "a/one.safetensors" in page
    assert "The update is exact." in page
    assert "cat on the beach" in page
    assert page.endswith("\n")


def test_what_factors_lose_is_told(dense: Concept, kv_base: KVBase) -> None:
    page = use_page(dense, kv_base, TOOL_FOLDERS[TOOLS[0]], [], error=0.0123)
    assert "differs from the concept by 1.2% of its length" in page
