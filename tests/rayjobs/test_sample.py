import subprocess
import sys
from pathlib import Path

import pytest

from rayjobs import sample
from rayjobs.config.sampling import SampleJob
from tests.png_settings import png_settings
from tests.rayjobs.command import command

SCRIPT = Path(sample.__file__)


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
    settings = png_settings(tmp_path / "out" / "mycat-0004.png")
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
    assert command(monkeypatch, sample, "--help") == 0
    text = capsys.readouterr().out
    for name in ("config", *SampleJob.__dataclass_fields__):
        assert f"--{name.replace('_', '-')}" in text


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
        (("--prompt", "a", "--base", "TINY", "--guidance", "0.5"), "--guidance is 0.5"),
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
    assert command(monkeypatch, sample, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before
