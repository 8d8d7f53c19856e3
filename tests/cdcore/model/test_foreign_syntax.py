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
        ("a (<mycat>:1,3) cat", "(<mycat>:1,3)", WEIGHT),
        ("a <mycat:0,8> cat", "<mycat:0,8>", WEIGHT),
        ("a <mycat>:1.3 cat", "<mycat>:1.3", WEIGHT),
        ("a <mycat>:1,3, outside", "<mycat>:1,3", WEIGHT),
        ("a <mycat>:2", "<mycat>:2", WEIGHT),
        ("a <mycat> : 1.3 cat", "<mycat> : 1.3", WEIGHT),
        ("a (red cat):1.3", "(red cat):1.3", WEIGHT),
        ("a hat::2 and a cat", "t::2", WEIGHT),
        ("a <mycat>::1.5 cat", ">::1.5", WEIGHT),
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
    "written",
    [
        *("&lt;mycat&gt;", "&LT;mycat&GT;", "&#60;mycat&#62;", "&#x3c;mycat&#x3E;"),
        *("&amp;lt;mycat&amp;gt;", "%3Cmycat%3E", "%253Cmycat%253e", "\uff1cmycat\uff1e"),
        *("\u27e8mycat\u27e9", "&lt; mycat &gt;"),
    ],
)
def test_a_token_in_other_brackets_is_pointed_out(written: str) -> None:
    (line,) = foreign_syntax(f"a {written} cat, 5 &lt; 7", "do this")
    expected = f"{written!r} is no name of a concept, but plain text here: write <mycat>"
    assert line == expected
    assert expected in foreign_syntax(f"a ({written}:1.3) cat", "do this")


@pytest.mark.parametrize(
    "prompt",
    [
        *("<mycat>: 2 cats", "a cat (left): 3 dogs", "a &lt; b &gt; c", "std::2d", "5&lt;7"),
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


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "[",
        "<",
        "<a>",
        "[<a>",
        "&lt;",
        "&amp;",
        "%25",
        "<a>:",
        "(a ",
        "a:",
        "((a",
        "{{<a>",
        "( ",
    ],
)
def test_a_hostile_prompt_costs_little(piece: str) -> None:
    started = time.monotonic()
    foreign_syntax(piece * 100_000, "x")
    assert time.monotonic() - started < 10
