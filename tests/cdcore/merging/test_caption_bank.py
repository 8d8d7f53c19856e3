"""Tests of `cdcore.merging.caption_bank`."""

from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from cdcore.merging.caption_bank import CaptionBank, read_captions, written_captions
from cdcore.pocket.scenes.caption import words


@pytest.mark.parametrize("pocket", [False, True])
def test_written_captions_are_many_different_and_always_the_same(pocket: bool) -> None:
    bank = written_captions(pocket=pocket)
    assert len(bank.fitted) >= 1000
    assert len(bank.held_out) >= 200
    assert len({*bank.fitted, *bank.held_out}) == len(bank.fitted) + len(bank.held_out)
    assert written_captions(pocket=pocket) == bank
    assert bank.held_out != CaptionBank.split(bank.fitted).held_out
    assert not any("  " in caption or caption != caption.strip() for caption in bank.fitted)


def test_captions_of_the_pocket_are_in_its_words() -> None:
    bank = written_captions(pocket=True)
    said = {word for caption in (*bank.fitted, *bank.held_out) for word in caption.split()}
    assert said <= set(words())


def test_every_sixth_different_caption_is_held_out() -> None:
    bank = CaptionBank.split(("a", "b", "c", "d", "a", "e", "f", "g"))
    assert bank.held_out == ("f",)
    assert bank.fitted == ("a", "b", "c", "d", "e", "g")


def test_a_file_has_one_caption_on_each_line(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("\ufeff# mine\n\n a cat \na dog\na cat\n" + "\n".join("efgh"), "utf-8")
    bank = read_captions(file)
    assert bank.fitted == ("a cat", "a dog", "e", "f", "g")
    assert bank.held_out == ("h",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .No such file"),
        (b"caf\xe9\n" * 10, "not a text in UTF-8"),
        (b"a\nb\na\nb\na\nb\na\n", "2 different captions, expected hundreds"),
    ],
)
def test_a_file_that_is_no_bank_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "captions.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_captions(file)
