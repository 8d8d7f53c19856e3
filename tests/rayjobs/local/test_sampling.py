"""Tests of `rayjobs.local.sampling`."""

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
