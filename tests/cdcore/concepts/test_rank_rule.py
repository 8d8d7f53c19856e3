"""Tests of `cdcore.concepts.rank_rule`."""

from typing import Any

import pytest

from cdcore.concepts.low_rank import compress
from cdcore.concepts.rank_rule import Rule
from cdcore.errors import ConfigError
from cdcore.model.kv_layout import KVLayout
from tests.tiny import random_update

WIDTHS = (5, 5, 16, 16)


LAYOUT = KVLayout(names=("a", "b", "c", "d"), widths=WIDTHS, text_width=12)


SHAPE = LAYOUT.shape


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank", 0), ("rank", -1), ("energy", 0), ("energy", 1.1), ("mass", 0), ("size", 0)],
)
def test_impossible_rules_are_refused(name: Any, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Rule(name=name, value=value)


def test_a_size_is_named_in_the_megabytes_that_users_give() -> None:
    with pytest.raises(ConfigError, match="size is -2 MB, expected more than 0"):
        Rule(name="size", value=-2e6)
    with pytest.raises(ConfigError, match=r"^1e-09 MB is too little: rank 1 everywhere takes"):
        compress(random_update(SHAPE), LAYOUT, Rule(name="size", value=1e-3))
