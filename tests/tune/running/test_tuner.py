"""Sweeps of a tiny base on a cluster of two CPUs; what is killed is the driver, as a user would."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from cdcore.registry.registry import Registry
from tests.rayjobs.forked_script import PATIENCE_S, ForkedScript
from tests.rayjobs.train_case import job, write_pictures
from tune.plan.folder import SweepFolder

pytestmark = pytest.mark.ray


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    write_pictures(tmp_path / "images", 4)
    return SweepFolder(tmp_path / "runs" / "mycat-sweep", "mycat")


def arguments(folder: SweepFolder, base: Path, *more: str, steps: int = 4) -> list[str]:
    given = job(folder.path.parents[1], base, steps=steps)
    line = ["--text-floor", "0", "--score-prompts", "1", *more]
    for name in ("images", "class_noun", "name", "base", "steps", "rows_per_step", "variants"):
        line += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    line += ["--regularization-images", "2", "--sample-seeds", "0"]
    return [*line, "--output", str(given.output), "--cache", str(given.cache)]


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def finished(folder: SweepFolder) -> list[int]:
    return [record.number for record in folder.records() if record.status == "finished"]


def test_a_sweep_whose_driver_was_killed_goes_on_without_training_a_finished_trial_again(
    folder: SweepFolder, tiny_folder: Path, tmp_path: Path
) -> None:
    command = arguments(
        folder,
        tiny_folder,
        *("--search", "learning_rate=log:1e-4..1e-2", "regularization_ratio=0.5,1"),
        *("--method", "optuna-pareto", "--trials", "3", "--no-early-stopping"),
        *("--drift-ceiling", "2", "--registry", str(tmp_path / "concepts")),
    )
    script = ForkedScript("tune.sweep", *command, folder=tmp_path)
    script.wait_until(lambda: bool(finished(folder)))
    # What it leaves behind ends by itself, and then nothing is written any more.
    psutil.wait_procs(script.kill(), timeout=PATIENCE_S)
    done = finished(folder)
    kept: dict[str, Any] = {}
    for number in done:
        kept |= content(folder.trial(number).run.path)
    shared = content(tmp_path / "cache")
    assert sum(name.endswith(".png") for name in shared) == 2
    before = {record.number: record.settings for record in folder.records()}

    out = ForkedScript("tune.sweep", *command, folder=tmp_path).succeed()

    records = folder.records()
    assert [record.status for record in records] == ["finished"] * 3
    assert all(record.settings == before.get(record.number, record.settings) for record in records)
    for number in done:
        again = content(folder.trial(number).run.path)
        assert again == {name: kept[name] for name in again}
    # Regularization pictures and latents were made once, for all trials and both drivers.
    assert content(tmp_path / "cache") == shared
    assert "published: " in out
    summary = folder.run.read_summary()
    best = folder.trial(summary["best"]["trial"]).run
    published = Registry(tmp_path / "concepts")
    assert published.resolve("mycat").read_bytes() == best.concept_file.read_bytes()
    assert published.load("mycat").metrics["image_alignment"]["concept"] == pytest.approx(
        summary["best"]["scores"]["image_alignment"]
    )
    for name in ("report.md", "trials.parquet", "trials.png", "best.png", "best.yaml"):
        assert (folder.path / name).stat().st_size > 0
    assert not folder.notes.exists()


def test_trials_that_fall_behind_are_stopped_and_make_room_for_the_next(
    folder: SweepFolder, tiny_folder: Path, tmp_path: Path
) -> None:
    # The higher the rate, the more the base drifts; with a ceiling of 0 only that counts.
    command = arguments(
        folder,
        tiny_folder,
        *("--search", "learning_rate=1e-6,0.003,0.03", "--method", "grid", "--concurrent", "1"),
        *("--score-every", "20", "--drift-ceiling", "0"),
        steps=21,
    )
    out = ForkedScript("tune.sweep", *command, folder=tmp_path).succeed()
    first, second, third = folder.records()
    assert (first.status, first.step) == ("finished", 21)
    assert (second.status, second.step) == ("stopped", 20)
    assert (third.status, third.step) == ("stopped", 20)
    assert "trial 2 stopped after 20 steps" in out
    assert "best: trial 0" in out
