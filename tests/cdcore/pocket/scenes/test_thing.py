"""Tests of `cdcore.pocket.scenes.thing`."""

import pytest

from cdcore.pocket.scenes.thing import Thing


def test_accessories_are_listed_in_fixed_order() -> None:
    thing = Thing(kind="cat", color="red", scarf="blue", hat="green")
    assert thing.accessories() == (("hat", "green"), ("scarf", "blue"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "cow", "color": "red"}, "unknown kind"),
        ({"kind": "cat", "color": "pink"}, "unknown color"),
        ({"kind": "cat", "color": "red", "pattern": "dotted"}, "unknown pattern"),
        ({"kind": "cat", "color": "red", "pattern": "striped"}, "pattern colour"),
        ({"kind": "cat", "color": "red", "pattern_color": "blue"}, "pattern colour"),
        (
            {"kind": "cat", "color": "red", "pattern": "striped", "pattern_color": "red"},
            "equals the main colour",
        ),
        ({"kind": "barn", "color": "red", "hat": "blue"}, "a barn cannot wear a hat"),
        ({"kind": "cat", "color": "red", "hat": "pink"}, "unknown hat colour"),
        ({"kind": "cat", "color": "red", "collar": "blue", "scarf": "blue"}, "not both"),
        ({"kind": "cat", "color": "red", "details": ("wings",)}, "unknown detail"),
    ],
)
def test_invalid_things_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Thing(**arguments)  # type: ignore[arg-type]
