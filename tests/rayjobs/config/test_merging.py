"""Tests of `rayjobs.config.merging`."""

from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from rayjobs.config.merging import MergeJob


def job(**changes: Any) -> MergeJob:
    settings: dict[str, Any] = {
        "concepts": ("a.safetensors",),
        "output": Path("o/ab.safetensors"),
    }
    return MergeJob(**settings | changes)


def test_pictures_and_exports_lie_beside_the_file() -> None:
    assert job().picture == Path("o/ab.png")
    assert job().exports == Path("o/ab-exports")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concepts": ()}, "--concepts is empty"),
        ({"output": Path("ab.bin")}, "expected a name in .safetensors"),
        ({"pictures": -1}, "--pictures is -1"),
        ({"steps": 0}, "--steps is 0"),
        ({"seed": 2**64 - 1, "pictures": 2}, "expected seeds below 2**64"),
        ({"penalty": 0.0}, "the penalty is 0.0, expected a number above 0"),
    ],
)
def test_what_no_merge_can_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        job(**changes)
    assert message in str(caught.value)
