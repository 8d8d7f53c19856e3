import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError
from tests.cdcore.training_case import config
from tune.plan.search_space import (
    SEARCHABLE,
    Dimension,
    by_present_value,
    check_space,
    grid_size,
    most_of,
    parse_space,
)


def one(text: str) -> Dimension:
    (dimension,) = parse_space([text])
    return dimension


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "regularization_ratio=0, 0.5,1,1",
            Dimension(field="regularization_ratio", choices=(0, 0.5, 1)),
        ),
        ("steps = 50,100", Dimension(field="steps", choices=(50, 100))),
        (
            "prior_weighting=mean,four_to_one",
            Dimension(field="prior_weighting", choices=("mean", "four_to_one")),
        ),
        ("augment=true,false", Dimension(field="augment", choices=(True, False))),
        ("flip=true,false", Dimension(field="flip", choices=(True, False))),
        ("prior_weight=0.25..2", Dimension(field="prior_weight", low=0.25, high=2.0)),
        ("steps=50..100", Dimension(field="steps", low=50, high=100)),
        (
            "learning_rate=log:5e-4..2e-2",
            Dimension(field="learning_rate", low=5e-4, high=2e-2, is_log=True),
        ),
        (
            "learning_rate=log:1e-4..1e-2/3",
            Dimension(field="learning_rate", choices=(1e-4, 1e-3, 1e-2)),
        ),
        ("steps=10..20/3", Dimension(field="steps", choices=(10, 15, 20))),
    ],
)
def test_a_dimension_is_read_in_the_type_of_its_setting(text: str, expected: Dimension) -> None:
    found = one(text)
    assert found == expected
    assert [type(value) for value in found.extremes] == [
        type(value) for value in expected.extremes
    ] or (found.field == "regularization_ratio")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("learning_rte=0.1", "unknown field 'learning_rte'; did you mean learning_rate"),
        ("name=a,b", "unknown field 'name'; there are steps, "),
        ("learning_rate", "expected FIELD=VALUES"),
        ("=1,2", "expected FIELD=VALUES"),
        ("learning_rate=", "no values"),
        ("learning_rate=,", "no values"),
        ("learning_rate=fast", "is 'fast', expected a number"),
        ("learning_rate=nan", "is 'nan', expected a number"),
        ("steps=1.5,2", "is '1.5', expected a whole number"),
        ("steps=10..20.5", "is '20.5', expected a whole number"),
        ("prior_weighting=mean,median", "one of mean, four_to_one"),
        ("prior_weighting=mean,reference", "'reference', which is called 'four_to_one' now"),
        ("augment=maybe", "true or false"),
        ("augment=false..true", "list of values"),
        ("steps=none", "expected a whole number"),
        ("prior_weight=2..1", "lower end"),
        ("prior_weight=1..1", "lower end"),
        ("prior_weight=log:0..1", "above 0"),
        ("prior_weight=0..1/1", "from 2 to 1000"),
        ("prior_weight=0..1/many", "from 2 to 1000"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        one(text)
    assert str(caught.value).startswith("search: ")
    assert "\n" not in str(caught.value)


def test_an_empty_space_and_a_field_that_stands_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="search is empty"):
        parse_space([])
    with pytest.raises(ConfigError, match="steps stands there 2 times"):
        parse_space(["steps=1,2", "seed=1,2", "steps=3"])


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        (["learning_rate=1e-3..2"], "learning_rate=2.0 is impossible: learning_rate is 2.0"),
        (["learning_rate=0,1e-3"], "learning_rate=0.0 is impossible"),
        (["prior_weight=-1..1"], "prior_weight=-1.0 is impossible"),
        (["steps=0..5"], "steps=0 is impossible"),
        (["regularization_images=0,5"], "regularization_images=0 is impossible"),
        (["rows_per_step=1,8"], "rows_per_step=1 is impossible: 2 workers"),
    ],
)
def test_values_out_of_range_are_found_before_a_trial(texts: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        check_space(parse_space(texts), config(), workers=2)


def test_values_that_are_impossible_only_together_are_found() -> None:
    texts = ["rows_per_step=2,16", "regularization_ratio=1..7"]
    for text in texts:
        check_space(parse_space([text]), config(rows_per_step=16, regularization_ratio=1.0))
    with pytest.raises(ConfigError, match=r"rows_per_step=2, regularization_ratio=7\.0 is"):
        check_space(parse_space(texts), config(rows_per_step=16))


def test_every_setting_that_may_vary_is_one_of_the_training_configuration() -> None:
    assert set(SEARCHABLE) == set(config().__slots__) - {"name", "subjects"}


def test_a_grid_has_all_points_and_no_range() -> None:
    assert grid_size(parse_space(["steps=1,2,3", "seed=0,1"])) == 6
    with pytest.raises(ConfigError, match=r"such as learning_rate=log:0\.001\.\.0\.1/5"):
        grid_size(parse_space(["learning_rate=log:1e-3..1e-1"]))


@given(
    low=st.floats(1e-6, 1e-2),
    factor=st.floats(1.5, 1e3),
    count=st.integers(2, 9),
    log=st.booleans(),
)
def test_spread_values_rise_evenly_from_end_to_end(
    low: float, factor: float, count: int, log: bool
) -> None:
    high = low * factor
    values = one(f"prior_weight={'log:' if log else ''}{low!r}..{high!r}/{count}").choices
    assert len(values) == count
    assert values[0] == pytest.approx(low)
    assert values[-1] == pytest.approx(high)
    steps = [math.log(b / a) if log else b - a for a, b in itertools.pairwise(values)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("prior_weighting=mean,reference", "prior_weighting=mean,four_to_one"),
        ("prior_weighting = reference , mean", "prior_weighting =four_to_one, mean"),
        ("learning_rate=log:5e-4..2e-2", "learning_rate=log:5e-4..2e-2"),
        ("no_such_setting=reference", "no_such_setting=reference"),
    ],
)
def test_the_text_of_an_earlier_version_is_read_with_the_values_of_now(
    before: str, now: str
) -> None:
    assert by_present_value(before) == now
    assert by_present_value(now) == now


def test_the_most_of_a_setting_is_its_largest_value_or_the_one_it_has() -> None:
    space = parse_space(["steps=20..90", "regularization_images=40,200,80"])
    assert most_of(space, "steps", 7) == 90
    assert most_of(space, "regularization_images", 7) == 200
    assert most_of(space, "seed", 7) == 7
