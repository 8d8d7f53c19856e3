"""Tests of `rayjobs.runs.former_names`."""

from typing import Any, get_args

import pytest

from cdcore.training.config import FORMER_WEIGHTINGS, PriorWeighting
from rayjobs.runs.former_names import by_first_names, by_present_names


def test_a_former_name_is_read_as_that_of_now() -> None:
    stored = {"seed": 3, "prior_weighting": "reference"}
    assert by_present_names(stored) == {"seed": 3, "prior_weighting": "four_to_one"}
    assert stored["prior_weighting"] == "reference", "it is the caller's"


@pytest.mark.parametrize("settings", [{}, {"seed": 1}, {"prior_weighting": ["damaged"]}])
def test_what_has_no_former_name_stays(settings: dict[str, Any]) -> None:
    assert by_present_names(settings) == settings
    assert by_first_names(settings) == settings


@pytest.mark.parametrize("name", get_args(PriorWeighting))
def test_every_name_of_now_has_one_first_name(name: str) -> None:
    settings = {"prior_weighting": name}
    assert by_present_names(by_first_names(settings)) == settings
    assert name not in FORMER_WEIGHTINGS
