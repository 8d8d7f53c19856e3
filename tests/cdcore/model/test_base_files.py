"""Tests of `cdcore.model.base_files`."""

import json
import shutil
from pathlib import Path

import pytest

from cdcore.errors import BaseModelError, TokenError
from cdcore.model.base_files import local_base
from cdcore.model.loading import load_base
from cdcore.model.meta_base import outline_base

WORDS = (
    *(
        "cat",
        "Wooden  Pot",
        "dog's bowl",
        "naïve café",
        "cafe\u0301",
        "x2 y33",
        "",
        "  ",
        "猫",
        "it'll",
    ),
    *("<mycat> cat", "hyper-realistic, 4k!", "endoftext", "tab\tnew\nline", "ÅNGSTRÖM", "🙂"),
)


def test_words_have_the_ids_that_the_loaded_base_gives_them() -> None:
    files, base = local_base("pocket"), outline_base("pocket")
    assert files.tokenizer is not None
    for word in WORDS:
        expected = base.text_encoder.tokenizer(word, add_special_tokens=False).input_ids
        assert files.tokenizer.encode(word, add_special_tokens=False).ids == expected


def test_a_tokenizer_in_two_files_is_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    folder = tmp_path / "base" / "tokenizer"
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    in_two = local_base(str(tmp_path / "base")).tokenizer
    in_one = local_base(str(tiny_folder)).tokenizer
    assert in_one is not None
    assert in_two is not None
    for word in WORDS:
        assert in_one.encode(word).ids == in_two.encode(word).ids


def test_shapes_and_settings_are_those_of_the_loaded_base(tiny_folder: Path) -> None:
    for name in ("pocket", str(tiny_folder)):
        files, base = local_base(name), load_base(name)
        assert (files.stack_rows, files.text_width) == base.seam.layout.shape
        assert files.profile is base.profile


def test_what_no_concept_could_be_taught_by_is_refused_as_by_the_text_encoder() -> None:
    files, base = local_base("pocket"), outline_base("pocket")
    files.check_word("wooden pot")
    for word in ("", "<cat>", "q z j x w v k y u"):
        with pytest.raises(TokenError) as late:
            base.text_encoder.word_ids(word)
        with pytest.raises(TokenError) as early:
            files.check_word(word)
        assert str(early.value) == str(late.value)


def test_a_base_that_is_nowhere_is_refused() -> None:
    with pytest.raises(BaseModelError, match=r"base 'no/such/base' cannot be loaded: .*; expected"):
        local_base("no/such/base")


def test_what_the_files_do_not_say_is_left_to_the_loaded_base(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("[]")
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\xff" * 9)
    files = local_base(str(tmp_path))
    assert (files.text_width, files.stack_rows, files.words, files.tokenizer) == (None,) * 4
    files.check_word("<anything>")
