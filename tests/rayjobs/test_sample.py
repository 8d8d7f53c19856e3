import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cdcore.model.base import Base
from cdcore.pictures.png import SETTINGS_KEY
from cdcore.sampling.pipeline import sample as sample_requests
from cdcore.sampling.request import Request
from rayjobs import sample
from rayjobs.cli.parser import run_command
from rayjobs.config.sampling import SampleJob
from tests.cdcore.concepts.test_stored_tensors import changed_copy

SCRIPT = Path(sample.__file__)
QUICK = ("--steps", "2", "--count", "1", "--guidance", "2")


def _command(monkeypatch: pytest.MonkeyPatch, *argv: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sample.py", *map(str, argv)])
    with pytest.raises(SystemExit) as caught:
        run_command(sample.main)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _settings(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        settings: dict[str, Any] = json.loads(image.info[SETTINGS_KEY])
    return settings


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.slow
def test_the_script_samples_a_concept_from_any_folder_without_a_word_too_many(
    concept_file: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("# places\na <mycat> cat\n\n  a <mycat> cat at night\n")
    argv = ["--concepts", str(concept_file), "--prompts", "prompts.txt", "--output", "out"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *argv, "--count", "2", "--steps", "2", "--seed", "9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "grid      out/grid-0001.png",
        "pictures  out/mycat-0001.png to mycat-0004.png",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "grid-0001.png",
        *(f"mycat-000{number}.png" for number in range(1, 5)),
    ]
    settings = _settings(tmp_path / "out" / "mycat-0004.png")
    assert settings["prompt"] == "a <mycat> cat at night"
    assert settings["seed"] == 10
    assert settings["base"] == str(tiny_folder)
    assert settings["concepts"] == [{"file": "mycat.safetensors", "name": "mycat", "weight": 1.0}]


def test_the_script_answers_bad_input_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--prompt", "a cat", "--conecpts", "x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown option --conecpts; did you mean --concepts?\n"


def test_the_help_has_every_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _command(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    for name in ("config", *SampleJob.__dataclass_fields__):
        assert f"--{name.replace('_', '-')}" in text


def test_without_a_concept_the_base_itself_is_sampled(
    tiny_folder: Path, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = ("--base", tiny_folder, "--prompt", "a cat", "--output", tmp_path, *QUICK)
    assert _command(monkeypatch, *argv, "--seed", 3, "--sampler", "ddim") == 0
    request = Request(prompt="a cat", seed=3, steps=2, guidance_scale=2.0, sampler="ddim")
    expected = ((sample_requests(tiny_base, [request])[0] + 1) * 127.5).permute(1, 2, 0)
    assert np.abs(_pixels(tmp_path / "base-0001.png") - expected.numpy()).max() < 1
    assert _settings(tmp_path / "base-0001.png")["concepts"] == []


def test_a_weight_scales_the_update_from_the_base_to_the_concept(
    concept_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    argv = ("--prompt", "a cat", "--output", tmp_path, *QUICK)
    for text in (f"{concept_file}", f"{concept_file}:1", f"{concept_file}:0"):
        assert _command(monkeypatch, *argv, "--concepts", text) == 0
    assert (
        _command(monkeypatch, *argv, "--base", _settings(tmp_path / "mycat-0001.png")["base"]) == 0
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
    _command(monkeypatch, *argv, "--prompt", "a cat")
    assert "'<mycat> cat'" in capsys.readouterr().err
    _command(monkeypatch, *argv, "--prompt", "a <mycat> cat")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "give either --prompt TEXT or --prompts FILE"),
        (("--prompt", "a", "--prompts", "prompts.txt"), "give either"),
        (("--prompts", "missing.txt"), "missing.txt: cannot be read (No such file"),
        (("--prompts", "empty.txt"), "empty.txt: no prompt in it"),
        (("--prompts", "latin.txt"), "latin.txt: cannot be read (not a text in UTF-8)"),
        (("--prompt", "a", "--count", "0"), "--count is 0"),
        (("--prompt", "a", "--concepts", "a.safetensors", "b.safetensors"), "no such file"),
        (
            ("--prompt", "a", "--concepts", "a", "b", "--method", "best"),
            "one of constrained, ridge",
        ),
        (("--prompt", "a", "--concepts", "a.safetensors:x"), "the weight is 'x'"),
        (("--prompt", "a", "--concepts", "a.safetensors"), "a.safetensors: no such file"),
        (("--prompt", "a", "--concepts", "a", "a:0.5"), "concept a is given twice"),
        (("--prompt", "a", "--concepts", "empty.txt"), "empty.txt: not a readable safetensors"),
        (("--prompt", "a", "--output", "empty.txt"), "empty.txt is not a folder"),
        (("--prompt", "a", "--output", "empty.txt/below"), "empty.txt is not a folder"),
        (("--prompt", "a", "--base", "no-such-base"), "base 'no-such-base' cannot be loaded"),
        (("--prompt", "a <dog> dog", "--base", "TINY"), "names <dog>"),
        (("--prompt", "a", "--negative-prompt", "<dog>", "--base", "TINY"), "names <dog>"),
        (("--prompt", "a", "--base", "TINY", "--guidance", "0.5"), "guidance_scale is 0.5"),
        (("--prompt", "a", "--base", "TINY", "--steps", "0"), "steps is 0"),
        (("--prompt", "a", "--base", "TINY", "--seed", "-1"), "seed is -1"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    argv: tuple[str, ...],
    message: str,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("# nothing\n \n")
    Path("latin.txt").write_bytes("a caf\xe9".encode("latin-1"))
    before = sorted(tmp_path.rglob("*"))
    words = [str(tiny_folder) if word == "TINY" else word for word in argv]
    assert _command(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


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
        assert _command(monkeypatch, *argv, *QUICK) == 2
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
    assert _command(monkeypatch, *argv) == 2
    assert "was trained on base" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert _command(monkeypatch, *argv, "--allow-other-base") == 0


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
        assert _command(monkeypatch, *argv, *output) == 0
    assert "is now" not in capsys.readouterr().err
    pictures = {
        method: _pixels(tmp_path / method / "mycat+mypot-0001.png")
        for method in ("constrained", "ridge", "sum", "masked")
    }
    assert len({picture.tobytes() for picture in pictures.values()}) == 4
    settings = _settings(tmp_path / "ridge" / "mycat+mypot-0001.png")
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
    assert _command(monkeypatch, *argv, "--prompt", "a <mycat-2> cat") == 0
    assert "note: mycat: <mycat> is now <mycat-2>" in capsys.readouterr().err
    assert _command(monkeypatch, *argv, "--prompt", "a <mycat-3> cat") == 2
    assert "names <mycat-3>" in capsys.readouterr().err
