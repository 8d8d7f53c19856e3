"""Tests of `cdcore.evaluation.methods`."""

from cdcore.evaluation.methods import ALL_METHODS, METHODS
from cdcore.evaluation.table import NAMES
from cdcore.merging.settings import MIX_METHODS


def test_every_way_to_mix_concepts_is_compared_on_pairs() -> None:
    assert set(MIX_METHODS) <= set(METHODS["pair"])


def test_every_method_belongs_to_a_section_and_the_base_to_both() -> None:
    assert set(ALL_METHODS) == set(METHODS["single"]) | set(METHODS["pair"])
    assert tuple(NAMES) == ALL_METHODS
    assert all(methods[0] == "base" for methods in METHODS.values())
