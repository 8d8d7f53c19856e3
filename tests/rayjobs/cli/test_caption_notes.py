"""Tests of `rayjobs.cli.caption_notes`."""

from io import StringIO

from rich.console import Console

from cdcore.model.unread_text import UnreadText
from rayjobs.cli.caption_notes import caption_notes, print_caption_notes


def unread(text: str) -> UnreadText | None:
    room = 20
    if len(text) <= room:
        return None
    return UnreadText(read=text[:room], text=text[room:], length=len(text), room=room)


def test_plain_captions_have_no_notes() -> None:
    assert caption_notes(["a cat", "two cats"], unread) == []
    assert caption_notes([], unread) == []


def test_captions_that_are_cut_are_counted() -> None:
    assert caption_notes(["a cat", "x" * 21, "y" * 99], unread) == [
        "2 of 3 captions are longer than this base reads (20 tokens); their ends do not count"
    ]


def test_the_syntax_of_other_programs_is_pointed_out_once_and_briefly() -> None:
    (line,) = caption_notes(["a (cat:1.3)", "a (cat:1.3)"], unread)
    assert line.startswith("'(cat:1.3)' is a weight in other programs, but plain text here")
    assert line.endswith("and leave it out of the captions")
    (file,) = caption_notes(["<lora:x:1> cat"], unread)
    assert "a file to load" in file
    many = caption_notes([f"(cat:1.{number})" for number in range(9)], unread)
    assert len(many) == 4
    assert many[-1] == "6 more such places in captions"


def test_they_are_printed_as_they_stand() -> None:
    told = StringIO()
    print_caption_notes(["a [red:blue:0.5]"], unread, Console(file=told, width=40))
    (line,) = told.getvalue().splitlines()
    assert line.startswith("note: '[red:blue:0.5]' is a change while it is drawn")
