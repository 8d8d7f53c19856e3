from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import RegistryError, RunError
from cdcore.registry.registry import Registry
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.driver import train
from rayjobs.config.training import TrainJob
from tests.rayjobs.stand_in import Cluster
from tests.rayjobs.train_case import job, write_pictures


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> TrainJob:
    write_pictures(tmp_path / "images")
    return job(tmp_path, tiny_folder)


def test_a_finished_concept_is_published_once_and_named_in_the_last_lines(
    plain: TrainJob,
    cluster: Cluster,
    concept_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.concept = concept_file.read_bytes()
    registry = Registry(plain.output / "registry")
    wanted = replace(plain, registry=str(plain.output / "registry"))
    for _ in range(2):
        summary = train(wanted)
        (version,) = registry.versions("mycat")
        file = registry.resolve("mycat")
        assert summary["published"] == {"version": version, "file": str(file)}
        assert RunDirectory(plain.output / plain.name).read_summary() == summary
        assert capsys.readouterr().out.splitlines()[-2:] == [
            f"published: {file}",
            f"concept:  {plain.output}/mycat/mycat.safetensors",
        ]
    assert file.read_bytes() == cluster.concept
    assert len(cluster.tasks) == 1
    train(plain)
    assert registry.entry("mycat").history == (version,)


def test_a_registry_that_cannot_be_written_is_found_out_before_the_start(
    plain: TrainJob, cluster: Cluster
) -> None:
    plain.output.mkdir()
    (plain.output / "file").touch()
    with pytest.raises(OSError, match="file"):
        train(replace(plain, registry=str(plain.output / "file")))
    with pytest.raises(RegistryError, match="cannot be opened"):
        train(replace(plain, registry="ftp://host/x"))
    with pytest.raises(RegistryError, match="no name for a registry"):
        replace(plain, registry="x", name="größe")
    assert not cluster.tasks
    assert not (plain.output / plain.name).exists()


def test_a_concept_that_cannot_be_published_is_kept_and_published_later(
    plain: TrainJob, cluster: Cluster, concept_file: Path
) -> None:
    registry = plain.output / "registry"
    cluster.concept = concept_file.read_bytes()

    def vanish() -> None:
        (registry / "current").rmdir()
        (registry / "current").touch()

    cluster.before = vanish
    wanted = replace(plain, registry=str(registry))
    with pytest.raises(RunError, match="is finished, but cannot be published"):
        train(wanted)
    assert RunDirectory(plain.output / plain.name).read_summary()["status"] == "finished"
    (registry / "current").unlink()
    assert train(wanted)["published"]["version"].startswith("1-")
    assert len(cluster.tasks) == 1
