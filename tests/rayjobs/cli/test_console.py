"""Tests of `rayjobs.cli.console`."""

import pytest

from rayjobs.cli.console import plain_console

LONG = "word " * 60 + "end"


def test_what_is_printed_is_the_text_itself(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold]3.5 of 'a'[/bold] :smile: http://x.y"
    plain_console().print(text)
    assert capsys.readouterr().out == text + "\n"


def test_in_a_file_lines_stay_whole_unless_they_are_to_be_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plain_console().print(LONG)
    assert capsys.readouterr().out == LONG + "\n"
    plain_console(soft_wrap=False).print(LONG)
    assert capsys.readouterr().out.count("\n") > 1


def test_a_width_is_that_of_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain_console(file_width=150).width == 150
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "77")
    on_terminal = plain_console(file_width=150)
    assert (on_terminal.width, on_terminal.soft_wrap) == (77, False)
