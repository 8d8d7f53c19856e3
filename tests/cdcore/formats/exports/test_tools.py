"""Tests of `cdcore.formats.exports.tools`; `test_export` holds what they are used for."""

from cdcore.formats.exports.tool_names import TOOLS
from cdcore.formats.exports.tools import TOOL_FOLDERS


def test_every_tool_has_its_folders_and_calls_a_token_by_a_word() -> None:
    assert tuple(TOOL_FOLDERS) == TOOLS
    for folders in TOOL_FOLDERS.values():
        assert folders.word("<mycat>", "mycat").strip("<>").endswith("mycat")
