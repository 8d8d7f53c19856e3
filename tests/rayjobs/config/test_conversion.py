"""Tests of `rayjobs.config.conversion`."""

from typing import get_args

from cdcore.formats.exports.tools import TOOLS
from cdcore.formats.known_formats import FORMATS
from rayjobs.config.conversion import FormatName


def test_all_formats_and_tools_can_be_asked_for() -> None:
    assert set(get_args(FormatName)) == {"concept", *FORMATS, *TOOLS}
