"""Tests of `rayjobs.local.sampling`."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cdcore.model.base import Base
from cdcore.sampling.pipeline import sample as sample_requests
from cdcore.sampling.request import Request
from rayjobs import sample
from tests.cdcore.concepts.test_stored_tensors import changed_copy
from tests.png_settings import png_settings
from tests.rayjobs.command import command

QUICK = ("--steps", "2", "--count", "1", "--guidance", "2")


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_without_a_concept_the_base_itself_is_sampled(
    tiny_folder: Path, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = ("--base", tiny_folder, "--prompt", "a cat", "--output", tmp_path, *QUICK)
    assert command(monkeypatch, sample, *argv, "--seed", 3, "--sampler", "ddim") == 0
    request = Request(prompt="a cat", seed=3, steps=2, guidance_scale=2.0, sampler="ddim")
    expected = ((sample_requests(tiny_base, [request])[0] + 1) * 127.5).permute(1, 2, 0)
    assert np.abs(_pixels(tmp_path / "base-0001.png") - expected.numpy()).max() < 1
    assert png_settings(tmp_path / "base-0001.png")["concepts"] == []


def test_a_weight_scales_the_update_from_the_base_to_the_concept(
    concept_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = ("--prompt", "a cat", "--output", tmp_path, *QUICK)
    for text in (f"{concept_file}", f"{concept_file}:1", f"{concept_file}:0"):
        assert command(monkeypatch, sample, *argv, "--concepts", text) == 0
    assert (
        command(
            monkeypatch, sample, *argv, "--base", png_settings(tmp_path / "mycat-0001.png")["base"]
        )
        == 0
    )
    plain, one, nothing = (_pixels(tmp_path / f"mycat-000{number}.png") for number in (1, 2, 3))
    assert (plain == one).all()
    assert (nothing == _pixels(tmp_path / "base-0001.png")).all()
    assert np.abs(plain - nothing).mean() > 1


def test_a_concept_that_no_prompt_names_is_pointed_out(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ("--concepts", concept_file, "--output", tmp_path, *QUICK)
    command(monkeypatch, sample, *argv, "--prompt", "a cat")
    assert "'<mycat> cat'" in capsys.readouterr().err
    command(monkeypatch, sample, *argv, "--prompt", "a <mycat> cat")
    assert capsys.readouterr().err == ""


def test_a_damaged_concept_is_refused_in_one_line_and_nothing_is_written(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nan = torch.full_like(load_file(concept_file)["token.0"], torch.nan)
    for tensors, message in (
        ({"token.0": nan}, "token.0 holds values that are no numbers"),
        ({"token.0": nan[:-1]}, "token.0 is [31] of F16, expected [32]"),
        ({"unet.to_q.weight": torch.zeros(2, 2)}, "more than keys and values (unet.to_q.weight)"),
    ):
        source = changed_copy(concept_file, tmp_path / "damaged.safetensors", tensors)
        argv = ("--concepts", source, "--prompt", "a <mycat> cat", "--output", tmp_path / "out")
        assert command(monkeypatch, sample, *argv, *QUICK) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {source}: ")
        assert error.count("\n") == 1
        assert message in error
        assert list(tmp_path.iterdir()) == [source]


def test_a_concept_of_another_base_is_refused_unless_allowed(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.tiny import save_tiny_pipeline

    save_tiny_pipeline(tmp_path / "other", seed=1)
    which = ("--concepts", concept_file, "--base", tmp_path / "other")
    argv = (*which, "--prompt", "a <mycat> cat", "--output", tmp_path / "out", *QUICK)
    assert command(monkeypatch, sample, *argv) == 2
    assert "was trained on base" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert command(monkeypatch, sample, *argv, "--allow-other-base") == 0


def test_several_concepts_are_merged_on_the_fly(
    concept_file: Path,
    other_concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    which = ("--concepts", concept_file, f"{other_concept_file}:0.8", "--cache", tmp_path / "cache")
    argv = (*which, "--prompt", "a <mycat> cat next to a <mypot> wooden pot", *QUICK)
    for method in ("constrained", "ridge", "sum", "masked"):
        output = ("--output", tmp_path / method, "--method", method, "--allow-ill-posed")
        assert command(monkeypatch, sample, *argv, *output) == 0
    assert "is now" not in capsys.readouterr().err
    pictures = {
        method: _pixels(tmp_path / method / "mycat+mypot-0001.png")
        for method in ("constrained", "ridge", "sum", "masked")
    }
    assert len({picture.tobytes() for picture in pictures.values()}) == 4
    settings = png_settings(tmp_path / "ridge" / "mycat+mypot-0001.png")
    assert settings["method"] == "ridge"
    assert [concept["weight"] for concept in settings["concepts"]] == [1.0, 0.8]


def test_renamed_tokens_are_told_and_bad_prompts_refused(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    again = tmp_path / "again.safetensors"
    ones = torch.ones_like(load_file(concept_file)["token.0"])
    changed_copy(concept_file, again, {"token.0": ones})
    argv: tuple[object, ...] = (
        "--concepts",
        concept_file,
        again,
        "--cache",
        tmp_path / "cache",
        *QUICK,
    )
    argv = (*argv, "--output", tmp_path / "out", "--method", "masked")
    assert command(monkeypatch, sample, *argv, "--prompt", "a <mycat-2> cat") == 0
    assert "note: mycat: <mycat> is now <mycat-2>" in capsys.readouterr().err
    assert command(monkeypatch, sample, *argv, "--prompt", "a <mycat-3> cat") == 2
    assert "names <mycat-3>" in capsys.readouterr().err


FILLER = "a red cat on the grass " * 7


def test_the_end_of_a_prompt_that_is_not_read_is_said_and_written_into_its_pictures(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(f"{FILLER}near a <mycat> cat\na <mycat> cat\n{FILLER}near\n")
    argv = ("--concepts", concept_file, "--output", tmp_path / "out", *QUICK)
    assert command(monkeypatch, sample, *argv, "--prompts", prompts) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "of which this base reads 38: " in told[0]
    assert "and with it <mycat>: name the concept earlier" in told[0]
    assert "with it" not in told[1]
    files = [tmp_path / "out" / f"mycat-000{number}.png" for number in (1, 2, 3)]
    cut, named, never = map(png_settings, files)
    # Two equal pictures: only what is written into them tells that one names the concept.
    assert (_pixels(files[0]) == _pixels(files[2])).all()
    assert [one["concepts"][0].get("unread") for one in (cut, named, never)] == [True, None, False]
    assert cut["unread"]["prompt"].endswith("near a <mycat> cat")
    assert "unread" not in named
    of_grid = png_settings(tmp_path / "out" / "grid-0001.png")["pictures"]
    assert [one.get("unread") for one in of_grid] == [cut["unread"], None, never["unread"]]
    negative = ("--prompt", "a <mycat> cat", "--negative-prompt", FILLER)
    assert command(monkeypatch, sample, *argv, *negative) == 0
    assert capsys.readouterr().err.count("is cut off") == 1
    last = png_settings(tmp_path / "out" / "mycat-0004.png")
    assert last["unread"].keys() == {"negative_prompt"}
    assert last["concepts"][0]["unread"] is False


def test_what_other_programs_read_in_a_prompt_is_pointed_out(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ("--concepts", concept_file, "--output", tmp_path, *QUICK)
    for found in ("(<mycat>:1.3)", "<lora:mycat:1>", "[<mycat>]", "<mycat:0.8>", "((<mycat>))"):
        assert command(monkeypatch, sample, *argv, "--prompt", f"a <mycat> cat {found}") == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"note: {found!r} is ")
        assert line.endswith("give a concept and its weight as --concepts mycat.safetensors:0.8")


ODD = os.fsdecode(b"caf\xe9 \n%20#?")


def test_files_may_have_any_name(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in (ODD, "x" * 243):
        concept, out = tmp_path / f"{name}.safetensors", tmp_path / "out" / name
        shutil.copy(concept_file, concept)
        argv = ("--concepts", concept, "--output", out, "--prompt", "a <mycat> cat", *QUICK)
        assert command(monkeypatch, sample, *argv) == 0
        shown, err = capsys.readouterr()
        assert err == ""
        assert len(shown.splitlines()) == 2
        shown.encode()
        assert png_settings(out / f"{name}-0001.png")["concepts"] == [
            {"file": concept.name, "name": "mycat", "weight": 1.0}
        ]


def test_names_that_together_are_too_long_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{letter * 130}.safetensors" for letter in "ab"]
    argv = ("--concepts", *files, "--output", tmp_path / "out", "--prompt", "a cat")
    assert command(monkeypatch, sample, *argv) == 2
    assert "has 271 bytes, and a name on this disk at most 255" in capsys.readouterr().err
    assert command(monkeypatch, sample, "--concepts", "x" * 300, "--prompt", "a cat") == 2
    assert "has 310 bytes, and a name on this disk at most 255" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
