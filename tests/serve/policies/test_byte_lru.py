"""Tests of `serve.policies.byte_lru`."""

from collections import OrderedDict
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from serve.policies.byte_lru import ByteLRU

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["get", "put", "make"]),
        st.sampled_from("abcdef"),
        st.integers(min_value=0, max_value=14),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_is_a_dictionary_that_forgets_the_least_recently_used(
    steps: list[tuple[str, str, int]],
) -> None:
    cache: ByteLRU[int] = ByteLRU(10)
    model: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def insert(key: str, value: int, size: int) -> None:
        model.pop(key, None)
        if size <= 10:
            while sum(size for _, size in model.values()) + size > 10:
                model.popitem(last=False)
            model[key] = value, size

    for number, (kind, key, size) in enumerate(steps, start=1):
        known = model.get(key)
        if kind == "put":
            cache.put(key, number, size)
            insert(key, number, size)
            continue
        if kind == "get":
            assert cache.get(key) == (None if known is None else known[0])
        else:
            found = cache.get_or_make(key, size, partial(int, number))
            assert found == (number if known is None else known[0])
            if known is None:
                insert(key, number, size)
        if known is not None:
            model.move_to_end(key)
    assert cache.used_bytes == sum(size for _, size in model.values()) <= 10
    assert len(cache) == len(model)


def test_there_is_room_before_a_value_is_made() -> None:
    cache: ByteLRU[str] = ByteLRU(10)
    cache.put("old", "value", 8)
    seen = []

    def make() -> str:
        seen.append(cache.used_bytes)
        return "new value"

    assert cache.get_or_make("new", 5, make) == "new value"
    assert seen == [0]


def test_what_was_asked_for_last_stays_longest() -> None:
    cache: ByteLRU[str] = ByteLRU(10)
    for key in "abc":
        cache.put(key, key, 3)
    assert cache.get("a") == "a"
    cache.put("d", "d", 3)
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]
