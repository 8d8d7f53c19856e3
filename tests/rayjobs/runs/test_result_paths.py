import json
from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from raycluster.address import is_submitted
from rayjobs.runs.result_paths import ROOT_VARIABLE, absolute, base_name, registry_location, result_folder

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, of no job."""
    for name in (JOB, ROOT_VARIABLE, "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "copy"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def submit(monkeypatch: pytest.MonkeyPatch, **runtime_env: str) -> None:
    monkeypatch.setenv(JOB, json.dumps({"runtime_env": runtime_env}))


def test_in_a_shell_a_path_is_relative_to_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert not is_submitted()
    assert result_folder(Path("runs"), "--output") == folder / "runs"
    assert result_folder(Path("/x/../y"), "--output") == Path("/y")
    assert absolute(Path("~/runs")) == folder / "home" / "runs"
    with pytest.raises(ConfigError, match="write the path in full"):
        absolute(Path("~nobody-of-this-name/x"))


def test_a_job_without_a_copy_is_in_the_folder_of_its_head(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(monkeypatch)
    assert is_submitted()
    assert result_folder(Path("runs"), "--output") == folder / "runs"


@pytest.mark.parametrize("where", ["runs", ".", "../copy/runs", "{folder}/runs"])
def test_what_would_lie_in_a_job_s_copy_is_refused_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    submit(monkeypatch, working_dir="gcs://_ray_pkg_1.zip")
    path = Path(where.format(folder=folder))
    with pytest.raises(ConfigError, match=rf"^--output is .*lost.*--output.*{ROOT_VARIABLE}"):
        result_folder(path, "--output")
    with pytest.raises(ConfigError, match="--registry"):
        registry_location(str(path))
    assert result_folder(folder.parent / "runs", "--output") == folder.parent / "runs"


def test_a_base_s_folder_is_absolute_and_a_name_stays(folder: Path) -> None:
    (folder / "pocket").mkdir()
    (folder / "mine").mkdir()
    assert base_name("mine") == str(folder / "mine")
    for name in ("pocket", "sd1.4", "CompVis/stable-diffusion-v1-4"):
        assert base_name(name) == name


def test_a_root_takes_what_is_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder.parent / "root"
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    for is_job in (False, True):
        if is_job:
            submit(monkeypatch, working_dir="gcs://_ray_pkg_1.zip")
        assert result_folder(Path("runs"), "--output") == root / "runs"
        assert registry_location("reg") == str(root / "reg")
        assert registry_location("s3://bucket/x") == "s3://bucket/x"
        assert result_folder(folder.parent / "there", "--output") == folder.parent / "there"
    for bad in ("relative", "."):
        monkeypatch.setenv(ROOT_VARIABLE, bad)
        with pytest.raises(ConfigError, match="absolute"):
            result_folder(Path("runs"), "--output")


def test_a_folder_that_ray_cannot_be_told_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (folder / "caf\udce9", folder / "caf\udce9" / "runs"):
        with pytest.raises(ConfigError, match=r"--output is .*caf\\udce9.* is not UTF-8"):
            result_folder(path, "--output")
        with pytest.raises(ConfigError, match="--registry is "):
            registry_location(str(path))
    with pytest.raises(ConfigError, match="has 300 bytes"):
        registry_location("x" * 300)
    (folder / "caf\udce9").mkdir()
    monkeypatch.chdir(folder / "caf\udce9")
    with pytest.raises(ConfigError, match=r"^the working directory is .*caf\\udce9, a name"):
        result_folder(folder / "runs", "--output")
