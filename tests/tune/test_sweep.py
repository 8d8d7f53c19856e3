import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tune" / "sweep.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--search", "learning_rte=1,2"], "unknown field 'learning_rte'; did you mean"),
        (["--search", "steps=fast"], "search: steps is 'fast', expected a whole number"),
        (["--search"], "search is empty"),
        (["--method", "luck"], "--method is 'luck', expected one of random, grid, optuna"),
    ],
)
def test_from_any_folder_a_search_space_that_cannot_be_used_is_one_line(
    tmp_path: Path, arguments: list[str], error: str
) -> None:
    example = ["--config", str(ROOT / "examples" / "sweep.yaml")]
    done = run(*example, *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_help_names_every_setting(tmp_path: Path) -> None:
    done = run("--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for flag in ("--search", "--method", "--trials", "--drift-ceiling", "--learning-rate"):
        assert flag in done.stdout


@pytest.mark.slow
def test_the_package_does_not_hide_that_of_ray() -> None:
    script = (
        "import tune.running.searcher; from ray import tune as r; print(r.Tuner, tune.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "ray.tune" in done.stdout
    assert str(ROOT / "tune" / "__init__.py") in done.stdout
