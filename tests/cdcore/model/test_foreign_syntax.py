"""Tests of `cdcore.model.foreign_syntax`."""

import time

import pytest

from cdcore.model.foreign_syntax import foreign_syntax

FILE, WEIGHT, EMPHASIS = "a file to load", "a weight", "emphasis"


@pytest.mark.parametrize(
    ("prompt", "found", "meaning"),
    [
        ("a (<mycat>:1.3) cat", "(<mycat>:1.3)", WEIGHT),
        ("((<mycat> cat:1.3))", "((<mycat> cat:1.3))", WEIGHT),
        ("a cat, (masterpiece: .8)", "(masterpiece: .8)", WEIGHT),
        ("a <mycat:0.8> cat", "<mycat:0.8>", WEIGHT),
        ("a <mycat>++ cat", "<mycat>++", WEIGHT),
        ("a <mycat>1.2 cat", "<mycat>1.2", WEIGHT),
        ("(a cat)1.3", "(a cat)1.3", WEIGHT),
        ("<lora:mycat:1> a cat", "<lora:mycat:1>", FILE),
        ("<LoRA:mycat> a cat", "<LoRA:mycat>", FILE),
        ("<hypernet:mycat:1>", "<hypernet:mycat:1>", FILE),
        ("a embedding:mycat cat", "embedding:mycat", FILE),
        ("a [<mycat>] cat", "[<mycat>]", EMPHASIS),
        ("a {<mycat> cat}", "{<mycat> cat}", EMPHASIS),
        ("a (<mycat>) cat", "(<mycat>)", EMPHASIS),
        ("a ((<mycat>)) cat", "((<mycat>))", EMPHASIS),
        ("a ((very old)) cat", "((very old))", EMPHASIS),
        ("[[blurry]]", "[[blurry]]", EMPHASIS),
        ("a [cat:dog:0.5]", "[cat:dog:0.5]", "a change while it is drawn"),
        ("a <my cat>", "<my cat>", "no name of a concept"),
        ("a < mycat >", "< mycat >", "no name of a concept"),
    ],
)
def test_what_other_programs_read_is_one_line_with_the_remedy(
    prompt: str, found: str, meaning: str
) -> None:
    (line,) = foreign_syntax(prompt, "do this")
    assert line.startswith(f"{found!r} is {meaning}")
    assert line.endswith("but plain text here: write the words alone, and do this")


@pytest.mark.parametrize(
    "prompt",
    [
        *("", "a <mycat> cat", "a <MyCat> cat (on the beach)", "<mycat>", "a <mycat>-like cat"),
        *("<mycat>'s hat", "<mycat>, 2 cats", "a clock (10:30)", "a screen (16:9)", "a < b > c"),
        *("I <3 you > me", "a C++ book", "a cat [sic]", "photo: a cat", "a (<mycat> cat) at night"),
    ],
)
def test_plain_words_are_left_alone(prompt: str) -> None:
    assert foreign_syntax(prompt, "do this") == []


def test_each_is_told_once() -> None:
    assert len(foreign_syntax("(cat:1.2) (dog:1.2) (cat:1.2)", "x")) == 2


def test_a_long_one_is_shortened() -> None:
    (line,) = foreign_syntax(f"({'very ' * 100}old:1.2)", "x")
    assert len(line) < 200


@pytest.mark.parametrize("piece", ["(", "[", "<", "<a>", "[<a>", "(a ", "a:", "((a", "{{<a>", "( "])
def test_a_hostile_prompt_costs_little(piece: str) -> None:
    started = time.monotonic()
    foreign_syntax(piece * 100_000, "x")
    assert time.monotonic() - started < 10
