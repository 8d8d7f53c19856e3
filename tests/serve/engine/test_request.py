"""Tests of `serve.engine.request`."""

from dataclasses import replace

import pytest

from cdcore.errors import ConfigError
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.engine.request import PictureRequest

NINE = ConceptMix.of(*((ConceptRef(name, "1"), 1.0) for name in "abcdefghi"), method="ridge")
REQUEST = PictureRequest(prompt="a cat", seeds=(1,), steps=20, guidance_scale=4.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": ()}, "seeds"),
        ({"seeds": (0, 2**64)}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"guidance_scale": 0.9}, "guidance_scale"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": float("inf")}, "guidance_scale"),
        ({"seeds": tuple(range(11))}, "11 pictures are asked for, at most 10"),
        ({"mix": NINE}, "9 concepts are asked for, at most 8"),
        ({"previews": 11}, "previews"),
        ({"deadline_s": 0.0}, "deadline_s"),
        ({"deadline_s": float("nan")}, "deadline_s"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(REQUEST, **change)  # type: ignore[arg-type]


def test_previews_are_spread_evenly_and_never_of_the_end() -> None:
    assert replace(REQUEST, previews=0).preview_steps == set()
    assert replace(REQUEST, previews=1).preview_steps == {10}
    assert replace(REQUEST, previews=3).preview_steps == {5, 10, 15}
    assert replace(REQUEST, previews=10, steps=3).preview_steps == {1, 2}
    assert replace(REQUEST, previews=3, steps=1).preview_steps == set()
