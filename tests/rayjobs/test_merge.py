"""Tests of `rayjobs.merge`."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from rayjobs import merge
from rayjobs.config.merging import MergeJob
from tests.rayjobs.command import command

SCRIPT = Path(merge.__file__)


@pytest.fixture
def argv(concept_file: Path, other_concept_file: Path, tmp_path: Path) -> tuple[object, ...]:
    files = (concept_file, f"{other_concept_file}:0.8")
    output = ("--output", tmp_path / "pair.safetensors", "--cache", tmp_path / "cache")
    return ("--concepts", *files, *output, "--steps", 2, "--allow-ill-posed")


@pytest.mark.slow
def test_the_script_merges_reports_and_shows_from_any_folder(
    argv: tuple[object, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, argv)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Merged by ridge" in done.stdout
    assert "<mycat> cat" in done.stdout
    assert "held-out captions change by" in done.stdout
    assert "condition numbers: captions" in done.stdout
    assert f"pair.safetensors, {(tmp_path / 'pair.safetensors').stat().st_size / 1e6:.2f} MB" in (
        done.stdout
    )
    with Image.open(tmp_path / "pair.png") as picture:
        # Both concepts and both in one: three columns, and a row alone above the merged one.
        assert picture.width > picture.height


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--output", "pair.bin"), "expected a name in .safetensors"),
        (("--output", "HERE"), "exists; choose another, or give --overwrite"),
        (("--output", "HERE", "--overwrite"), "one of the sources"),
        (("--output", "FOLDER"), "is a folder"),
        (("--output", "INSIDE"), "is not a folder"),
        (("--pictures", "-1"), "expected 0 or more"),
        (("--seed", "99999999999999999999"), "expected seeds below 2**64"),
        (("--seed", str(2**64 - 1), "--pictures", "2"), "expected seeds below 2**64"),
        (("--concepts", "a.safetensors", "a.safetensors:0.5"), "a.safetensors is given twice"),
        (("--export", "peft", "--pictures", "0"), "pair-exports is not a folder"),
        (("--export", "peft", "--pictures", "0", "--overwrite"), "pair-exports is not a folder"),
        (("--steps", "0"), "expected 1 or more"),
        (("--steps", "2000"), "expected 1 to 1000"),
        (("--export", "paint"), "export is 'paint'"),
        (("--base", "/no/such/base", "--pictures", "0"), "/no/such/base"),
        (("--method", "masks"), "one of constrained, ridge, sum, masked"),
        (("--method", "ridge", "--penalty", "0", "--pictures", "0"), "the penalty is 0"),
        (("--concepts", "none.safetensors"), "none.safetensors: no such file"),
        (("--captions", "none.txt", "--pictures", "0"), "captions cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    argv: tuple[object, ...],
    extra: tuple[str, ...],
    message: str,
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {
        "HERE": concept_file,
        "FOLDER": tmp_path / "folder.safetensors",
        "INSIDE": concept_file / "pair.safetensors",
    }
    places["FOLDER"].mkdir()
    (tmp_path / "pair-exports").touch()
    before = concept_file.read_bytes()
    assert command(monkeypatch, merge, *argv, *(str(places.get(word, word)) for word in extra)) == 2
    assert concept_file.read_bytes() == before
    assert not (tmp_path / "pair.safetensors").exists()
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_the_help_has_every_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, merge, "--help") == 0
    text = capsys.readouterr().out
    for name in ("config", *MergeJob.__dataclass_fields__):
        assert f"--{name.replace('_', '-')}" in text
