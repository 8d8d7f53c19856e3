"""Tests of `cdcore.command_line.values`."""

from pathlib import Path
from typing import Any, Literal

import pytest

from cdcore.command_line.values import Location, converted_value
from cdcore.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "values", "result"),
    [
        (bool, (True, 1, "1", "true", "YES", "On", "t", "y"), True),
        (bool, (False, 0, "0", "False", "no", "OFF", "f", "n"), False),
        (int, (7, 7.0, "7", "+7", " 7 "), 7),
        (int, (2**80, str(2**80)), 2**80),
        (float, (0.25, "0.25", "25e-2", ".25"), 0.25),
        (float, (3, "3"), 3.0),
        (str, ("7",), "7"),
        (Path, ("a/b", Path("a/b")), Path("a/b")),
        (Literal[0, 1], (1, "1"), 1),
        (Literal["1", "two"], ("1",), "1"),
        (Location, ("s3://bucket/x",), "s3://bucket/x"),
        (Location, ("a\udcff:0.5",), "a\udcff:0.5"),
        (Path, ("a\udcff",), Path("a\udcff")),
    ],
)
def test_a_text_and_what_yaml_makes_of_it_mean_the_same(
    kind: Any, values: tuple[Any, ...], result: Any
) -> None:
    for value in values:
        made = converted_value(kind, value)
        assert made == result
        assert type(made) is type(result)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (bool, ("maybe", "", 2, 0.5, None, [True])),
        (int, (True, 2.5, "2.5", "", "seven", None, [1], float("nan"))),
        (float, (True, "nan", "inf", float("inf"), "", None, [1.0], "1" * 400)),
        (str, (7, True, None, "a\0b", b"a", "a\udcff")),
        (Location, (7, True, None, "a\0b", b"a", "a\ud800")),
        (Path, ("", "a\0b", 7, None, False, "s3://bucket/x", "file:///x")),
        (Literal[0, 1], (True, False, 2, "2", None, [0])),
        (Literal["a"], ("b", "a\0", 1, None)),
    ],
)
def test_what_nobody_means_is_refused(kind: Any, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises((ValueError, OverflowError)):
            converted_value(kind, value)


def test_a_path_and_a_text_that_may_be_one_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for text in ("~/x", "$HOME/x", "${HOME}/x"):
        assert converted_value(Path, text) == Path("/home/me/x")
        assert converted_value(Location, text) == "/home/me/x"
        assert converted_value(str, text) == text


def test_a_name_that_no_disk_holds_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 256 bytes, and a name on this disk at most 255"):
        converted_value(Path, "x" * 256)
