from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError
from tune.plan.goal import Goal, pareto_front

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)
COSINE = st.floats(-1, 1)
SCORES = st.fixed_dictionaries(
    {
        "image_alignment": COSINE,
        "text_alignment": COSINE,
        "prior_drift": st.floats(0, 2),
        "base_text_alignment": COSINE,
    }
)


def scores(image: float, text: float, drift: float, base: float = 0.5) -> dict[str, float]:
    return {
        "image_alignment": image,
        "text_alignment": text,
        "prior_drift": drift,
        "base_text_alignment": base,
    }


@pytest.mark.parametrize("changes", [{"text_floor": 1.1}, {"drift_ceiling": -0.1}])
def test_bounds_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(ConfigError, match=f"{name} is"):
        Goal(**{"text_floor": 0.9, "drift_ceiling": 0.2} | changes)


def test_the_floor_is_a_share_of_the_base_and_bounds_are_inclusive() -> None:
    assert GOAL.least_text_alignment(scores(0, 0, 0)) == pytest.approx(0.45)
    assert Goal(text_floor=1, drift_ceiling=0.2).value(scores(0.7, 0.5, 0.2)) == 0.7
    assert GOAL.value(scores(0.7, 0.4, 0.0)) == pytest.approx(-1.05)
    assert GOAL.value(scores(0.7, 0.5, 0.5)) == pytest.approx(-1.3)
    # Below nothing: a floor that is a share would ask for more than the base has.
    assert GOAL.least_text_alignment(scores(0, 0, 0, base=-0.5)) == pytest.approx(-0.55)


@given(SCORES, SCORES)
def test_whoever_keeps_to_the_bounds_beats_whoever_does_not(
    one: dict[str, float], other: dict[str, float]
) -> None:
    kept, missed = GOAL.violation(one), GOAL.violation(other)
    if kept == 0 and missed > 0:
        assert GOAL.value(one) >= GOAL.value(other)
    if kept == missed == 0:
        better = one["image_alignment"] > other["image_alignment"]
        assert (GOAL.value(one) > GOAL.value(other)) == better


def beats(one: dict[str, float], other: dict[str, float]) -> bool:
    as_good = (
        one["image_alignment"] >= other["image_alignment"]
        and one["text_alignment"] >= other["text_alignment"]
        and one["prior_drift"] <= other["prior_drift"]
    )
    names = ("image_alignment", "text_alignment", "prior_drift")
    return as_good and any(one[name] != other[name] for name in names)


@given(st.lists(SCORES, max_size=12))
def test_the_front_is_what_nothing_beats_and_beats_all_else(found: list[dict[str, float]]) -> None:
    front = pareto_front(found)
    assert bool(front) == bool(found)
    for index, one in enumerate(found):
        assert (index in front) != any(beats(other, one) for other in found)
        if index not in front:
            assert any(beats(found[other], one) for other in front)
