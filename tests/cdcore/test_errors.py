"""Tests of `cdcore.errors`."""

import os
import pickle

import pytest

from cdcore.errors import ConfigError, OverloadedError, first_line, one_line

ODD = [
    "a\nb",
    "a\rb",
    "a\x1b[31mb",
    "a\u2028b",
    "a\u202eb",
    "a\tb",
    os.fsdecode(b"caf\xe9"),
    "a\x00b",
]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_one_line_of_text_everywhere(name: str) -> None:
    error = ConfigError(f"{name}: no such file")
    again = pickle.loads(pickle.dumps(error))
    for line in (one_line(name), str(error), str(again), first_line(error), f"{error}"):
        assert line.isprintable()
        assert len(line.splitlines()) == 1
        line.encode()
    assert str(error).endswith(": no such file")
    # It is written as in Python, so whoever needs the name can have it.
    assert one_line(name).encode().decode("unicode_escape") == name


@pytest.mark.parametrize("text", ["a cat", "ein Kätzchen – 猫 🐈", "two  spaces", ""])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == str(ConfigError(text)) == text


def test_a_message_stays_what_it_was_given_as() -> None:
    assert ConfigError("a\nb").args == ("a\nb",)
    assert OverloadedError("a\nb", 3.0).retry_after_s == 3.0


def test_the_first_line_of_another_library_s_error_has_no_full_stop() -> None:
    assert first_line(ValueError("It fails.\nBecause.")) == "It fails"
    assert first_line(ValueError()) == "ValueError"
