"""Tests of `rayjobs.cli.progress_bar`."""

import pytest

from rayjobs.cli.progress_bar import bar


def test_without_a_terminal_a_bar_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("sampling", "steps") as advance:
        advance(1, 2)
        advance(2, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_is_drawn_and_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with bar("sampling", "steps") as advance:
        advance(2, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "sampling" in err
    assert "2/4" in err
