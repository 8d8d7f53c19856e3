"""Tests of `rayjobs.config.conversion`."""

from typing import get_args

from cdcore.formats.exports.tool_names import TOOLS
from cdcore.formats.known_formats import FORMATS
from rayjobs.config.conversion import LOW_RANK, SUFFIXES, FormatName


def test_all_formats_and_tools_can_be_asked_for() -> None:
    assert set(get_args(FormatName)) == {"concept", *FORMATS, *TOOLS}


def test_what_is_known_without_the_formats_is_what_they_say() -> None:
    suffixes = {name: format_.suffixes for name, format_ in FORMATS.items() if format_.suffixes}
    assert {name: (suffix,) for name, suffix in SUFFIXES.items() if name != "concept"} == suffixes
    low_rank = {name for name, format_ in FORMATS.items() if format_.holds == "factors"}
    assert set(LOW_RANK) == {*low_rank, *TOOLS}
