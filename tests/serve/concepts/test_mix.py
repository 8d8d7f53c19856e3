"""Tests of `serve.concepts.mix`."""

import math

import pytest

from cdcore.errors import ConfigError
from serve.concepts.mix import ConceptMix, ConceptRef

ALICE, BORIS = ConceptRef("alice", "1"), ConceptRef("boris", "2")


def test_equal_mixes_have_equal_keys() -> None:
    one = ConceptMix.of((ALICE, 1.0), (BORIS, 0.5), method="ridge")
    other = ConceptMix.of((BORIS, 0.5), (ALICE, 1), method="ridge")
    assert one == other
    assert hash(one) == hash(other)
    assert one.references == (ALICE, BORIS)
    assert ConceptMix.of((ALICE, 1.0), method="ridge") == ConceptMix.of(
        (ALICE, 1.0), method="constrained"
    )


def test_different_mixes_have_different_keys() -> None:
    mixes = [
        ConceptMix(),
        ConceptMix.of((ALICE, 1.0), method="ridge"),
        ConceptMix.of((ALICE, 0.5), method="ridge"),
        ConceptMix.of((ConceptRef("alice", "2"), 1.0), method="ridge"),
        ConceptMix.of((ALICE, 1.0), (BORIS, 1.0), method="ridge"),
        ConceptMix.of((ALICE, 1.0), (BORIS, 1.0), method="constrained"),
        ConceptMix.of((ALICE, 1.0), (BORIS, 0.9), method="ridge"),
    ]
    assert len(set(mixes)) == len(mixes)
    assert [mix.is_plain for mix in mixes] == [True, True, False, True, False, False, False]


def test_impossible_mixes_are_refused() -> None:
    with pytest.raises(ConfigError, match="each concept once"):
        ConceptMix.of((ALICE, 1.0), (ConceptRef("alice", "2"), 1.0), method="ridge")
    for weight in (math.nan, math.inf):
        with pytest.raises(ConfigError, match="'alice' has the weight"):
            ConceptMix.of((ALICE, weight), method="ridge")
