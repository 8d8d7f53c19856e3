from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.model.base import Base
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.scoring.base_pictures import load_base_pictures
from cdcore.training import preparation as cached
from cdcore.training.captioned_pictures import read_captioned_pictures
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.task import ScorePlan
from tests.cdcore.training_case import config
from tests.rayjobs.train_case import train_task, write_captioned
from tune.plan.search_space import parse_space
from tune.running import shared_data as preparation
from tune.running.shared_data import distinct_data, prepare_shared


def test_data_are_told_apart_by_what_decides_them_alone() -> None:
    def of(*texts: str) -> int:
        return len(distinct_data(config(), parse_space(texts)))

    assert of("learning_rate=1e-4..1e-2", "prior_weight=0,1,2", "steps=2,3") == 1
    assert of("regularization_images=2,4,8") == 3
    assert of("regularization_images=2..8") == 2
    assert of("variants=2,4", "augment=true,false", "learning_rate=1e-4,1e-2") == 4
    assert of("seed=0..9/10", "variants=1..9/9") == 16


def test_regularization_pictures_are_made_if_any_trial_shows_one() -> None:
    space = parse_space(["regularization_ratio=0,0.5,3"])
    (found,) = distinct_data(config(regularization_ratio=0.0, rows_per_step=8), space)
    assert found.regularization_rows > 0
    (found,) = distinct_data(config(regularization_ratio=0.0), parse_space(["steps=2,3"]))
    assert found.regularization_rows == 0


def test_what_is_shared_is_made_once(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))
    embedder = embedder_of(tiny_base)
    monkeypatch.setattr(preparation, "load_local_base", lambda *_, **__: base)
    monkeypatch.setattr("rayjobs.training.validation.embedder_of", lambda _: embedder)
    known = tmp_path / "mycat-sweep/base.safetensors"
    task = train_task(
        tmp_path,
        run=RunDirectory(tmp_path / "mycat-sweep"),
        scoring=ScorePlan(every=2, prompts=1, seeds=1, base_pictures=known),
    )
    configs = distinct_data(task.config, parse_space(["learning_rate=1e-4..1e-2"]))
    prepare_shared(task, configs)
    assert task.scoring is not None
    assert task.scoring.base_pictures is not None
    assert len(load_base_pictures(task.scoring.base_pictures)[0]) == 1
    made = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert sum(path.suffix == ".png" for path in made) == task.config.regularization_images
    assert sum(path.suffix == ".arrow" for path in made) == 2
    times = [path.stat().st_mtime_ns for path in made]
    prepare_shared(task, configs)
    # A trial finds all it needs.
    cached.prepare(
        base, replace(task.config, learning_rate=5e-3), task.pictures, task.cache, lambda *_: None
    )
    assert sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file()) == made
    assert [path.stat().st_mtime_ns for path in made] == times


def test_pictures_that_are_brought_are_shared_and_none_is_generated(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = embedder_of(tiny_base)
    monkeypatch.setattr(preparation, "load_local_base", lambda *_, **__: tiny_base)
    monkeypatch.setattr("rayjobs.training.validation.embedder_of", lambda _: embedder)
    brought = read_captioned_pictures(write_captioned(tmp_path / "cats", 4), 4, 64)
    task = train_task(
        tmp_path,
        regularization=[brought],
        run=RunDirectory(tmp_path / "mycat-sweep"),
        scoring=ScorePlan(every=2, prompts=1, seeds=1, base_pictures=tmp_path / "base.safetensors"),
    )
    task.run.path.mkdir()
    (tmp_path / "base.safetensors").write_bytes(b"there already")
    prepare_shared(task, distinct_data(task.config, parse_space(["regularization_images=2,4"])))
    made = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in made) == [".arrow"] * 3
