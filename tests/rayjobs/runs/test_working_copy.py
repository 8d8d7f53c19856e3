import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from cdcore.errors import BaseModelError, ConceptFileError, CustomDiffusionError, PictureError
from raycluster.address import is_submitted_job
from rayjobs.runs.working_copy import explained, is_in_a_copy

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a job that was submitted with one."""
    folder = tmp_path / "copy"
    folder.mkdir()
    monkeypatch.chdir(folder)
    submit(monkeypatch, {"working_dir": "gcs://_ray_pkg_1.zip"})
    return folder


def submit(monkeypatch: pytest.MonkeyPatch, runtime_env: object) -> None:
    monkeypatch.setenv(JOB, json.dumps({"runtime_env": runtime_env}))


def said(path: str, kind: type[CustomDiffusionError] = PictureError) -> str:
    with pytest.raises(kind) as caught, explained(Path(path)):
        raise kind("no such folder")
    message = str(caught.value)
    assert message.startswith("no such folder")
    assert "\n" not in message
    return message.removeprefix("no such folder")


def test_a_submitted_job_is_told_from_a_shell_and_a_copy_from_a_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(JOB, raising=False)
    assert not is_submitted_job()
    assert not is_in_a_copy()
    for runtime_env in (None, {}, {"working_dir": ""}, {"env_vars": {"A": "1"}}):
        submit(monkeypatch, runtime_env)
        assert is_submitted_job()
        assert not is_in_a_copy()
    submit(monkeypatch, {"working_dir": "gcs://_ray_pkg_1.zip"})
    assert is_in_a_copy()


@pytest.mark.parametrize(
    ("file", "lines", "path", "line"),
    [
        (".gitignore", "# mine\n\n/photos/\n", "photos", "/photos/"),
        (".gitignore", "photos\n", "photos", "photos"),
        (".gitignore", "photos\n", "./a/../photos", "photos"),
        (".gitignore", "*.jpg\n", "photos", "*.jpg"),
        (".gitignore", "*.JPG\n", "photos", "*.JPG"),
        (".gitignore", "*.avif\n", "photos", "*.avif"),
        (".gitignore", "*.txt\n", "photos", "*.txt"),
        (".rayignore", "data/*\n", "data/photos", "data/*"),
        ("data/.gitignore", "*\n!.gitignore\n", "data/photos", "*"),
        (".gitignore", "/runs/\n", "runs/mycat/mycat.safetensors", "/runs/"),
        (".gitignore", "*.safetensors  \n", "mycat.safetensors", "*.safetensors"),
    ],
)
def test_the_line_that_names_a_missing_place_is_quoted(
    file: str, lines: str, path: str, line: str, copy: Path
) -> None:
    ignore = copy / file
    ignore.parent.mkdir(exist_ok=True)
    ignore.write_text(lines)
    reason = said(path)
    assert f"{file} names " in reason
    assert repr(line) in reason
    assert "RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1" in reason
    assert "absolute path" in reason


@pytest.mark.parametrize("lines", [None, "", "/other/\n", "photos\n!photos\n", "[\n!\n", "\\\n"])
def test_a_missing_place_that_no_line_names_was_not_in_the_folder(
    lines: str | None, copy: Path
) -> None:
    if lines is not None:
        (copy / ".gitignore").write_text(lines)
    assert "copy of its working directory, which has no photos;" in said("photos")
    assert "copy of its working directory, which has no ../photos;" in said("../photos")


def test_an_absolute_path_is_one_of_the_node_that_the_job_runs_on(copy: Path) -> None:
    assert f"the job runs on {socket.gethostname()}, which has no /no/such" in said("/no/such")
    assert said(str(copy)) == ""


def test_a_job_without_a_copy_is_told_where_it_runs(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(monkeypatch, {})
    assert f"the job runs in {copy} on " in said("photos")


@pytest.fixture
def clone(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A clone of a repository, of a user with an ignore file of their own."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    (tmp_path / ".gitconfig").write_text(f"[core]\n\texcludesFile = {tmp_path}/ignored\n")
    return copy


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("runtime_env", [{}, {"working_dir": "gcs://_ray_pkg_1.zip"}])
@pytest.mark.parametrize("line", ["photos", "/photos/", "*.jpg", "*.PNG"])
@pytest.mark.parametrize("place", [".git/info/exclude", "../ignored"])
def test_in_a_clone_git_says_which_of_its_own_files_leaves_a_place_out(
    place: str,
    line: str,
    runtime_env: dict[str, str],
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(monkeypatch, runtime_env)
    assert "git ignores" not in said("photos")
    (clone / place).write_text(f"# mine\n{line}\n")
    reason = said("photos")
    assert f"git ignores by {line!r} in " in reason
    assert Path(place).name in reason
    assert "absolute path that every node has" in reason
    (clone / "photos").mkdir()
    assert said("photos") == ""


def test_what_is_wrong_with_something_that_is_there_is_said_without_more(copy: Path) -> None:
    (copy / "photos").mkdir()
    assert said("photos") == ""


def test_in_a_shell_nothing_is_added(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOB)
    (copy / ".gitignore").write_text("photos\n")
    assert said("photos") == ""


@pytest.mark.parametrize("kind", [BaseModelError, ConceptFileError])
def test_an_error_keeps_its_kind_and_success_its_peace(
    kind: type[CustomDiffusionError], copy: Path
) -> None:
    assert "copy" in said("place", kind)
    with explained(Path("photos")):
        pass
