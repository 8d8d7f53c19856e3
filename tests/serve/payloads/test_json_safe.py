"""Tests of `serve.payloads.json_safe`."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from serve.payloads.json_safe import json_safe, text_safe

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(VALUES)
def test_anything_can_be_written_and_what_is_fit_stays(value: object) -> None:
    made = json_safe(value)
    written = json.dumps(made, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == made
    assert json_safe(made) == made


def test_what_is_unfit_is_replaced() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    assert "null" in json.dumps(json_safe(deep))
    assert json_safe([math.nan, math.inf, 10**30, True, 7]) == [None, None, None, True, 7]
    assert text_safe("a\ud800b") == "a?b"
    assert json_safe((1, {2: object})) == [1, {"2": "<class 'object'>"}]
