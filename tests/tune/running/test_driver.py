from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdcore.concepts.storage import save_concept
from cdcore.errors import ConfigError, RunError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from cdcore.training.engine import ConceptParameters
from cdcore.training.trainer import trained_concept
from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from tests.rayjobs.train_case import job, write_captioned, write_pictures
from tests.tune.trials import scores
from tune.plan.job import SweepJob
from tune.plan.slots import Slots
from tune.reporting import report
from tune.running import driver as sweep_driver
from tune.running.driver import sweep
from tune.running.trial import TrialPlan


class Cluster:
    """In place of Ray: trials end as they are told to, and all but the last ``dies_after`` live."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.trained: list[int] = []
        self.prepared = 0
        self.drift = 0.1
        self.dies_after: int | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        yield

    def prepare(self, *_: Any) -> None:
        self.prepared += 1

    def run(self, job: SweepJob, plan: TrialPlan, slots: Slots, steps: int) -> None:
        for number in range(job.trial_count):
            trial = plan.folder.trial(number)
            trial.begin({"learning_rate": 0.01 / (number + 1)})
            found = trial.record()
            assert found is not None
            if found.status == "finished":
                continue
            if number == self.dies_after:
                raise KeyboardInterrupt
            self.trained.append(number)
            config = replace(plan.task.config, **found.settings)
            trial.run.write_config({**plan.asked, **asdict(config)} | {"subjects": []})
            made = trained_concept(self.base, config, ConceptParameters.initial(self.base, config))
            figures = scores(0.5 + number / 100, drift=self.drift)
            save_concept(replace(made, metrics=figures), trial.run.concept_file, self.base)
            trial.run.append_scores(config.steps, figures)
            trial.run.write_summary({"status": "finished"})

    def draw(self, plan: TrialPlan, path: Path, slots: Slots) -> None:
        path.write_bytes(b"a picture")


@pytest.fixture
def cluster(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(tiny_base)
    slots = Slots(concurrent=2, workers=1, cpus=1, uses_gpu=False)
    monkeypatch.setattr(sweep_driver, "connected", made.connected)
    monkeypatch.setattr(sweep_driver, "cluster_slots", lambda job, console, is_small: slots)
    monkeypatch.setattr(sweep_driver, "check_shared", lambda folder, kind: None)
    monkeypatch.setattr(sweep_driver, "prepare_all", made.prepare)
    monkeypatch.setattr(sweep_driver, "run_trials", made.run)
    monkeypatch.setattr(sweep_driver, "draw_grid", made.draw)
    # It has tests of its own, and takes longer than all the rest.
    monkeypatch.setattr(report, "plot_trials", lambda path, *_: path.write_bytes(b"a picture"))
    return made


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> SweepJob:
    write_pictures(tmp_path / "images", 4)
    given: TrainJob = job(tmp_path, tiny_folder)
    settings = {name: getattr(given, name) for name in given.__slots__}
    return SweepJob(**settings, search=("learning_rate=log:1e-3..1e-1",), trials=3)


def test_a_sweep_reports_its_best_and_publishes_it_with_its_scores(
    plain: SweepJob, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = sweep(replace(plain, registry=str(tmp_path / "concepts")))
    assert summary["best"]["trial"] == 2
    assert summary["trials"]["finished"] == 3
    registry = Registry(tmp_path / "concepts")
    assert registry.load("mycat").metrics["image_alignment"] == pytest.approx(0.52)
    assert summary["published"]["file"] == str(registry.resolve("mycat"))
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("3 trials, random search over learning_rate=log:1e-3..1e-1")
    assert lines[-1] == f"concept: {summary['best']['concept_file']}"
    assert f"repeat:  {summary['best']['command']}" in lines


def test_one_that_keeps_to_no_bound_is_reported_and_not_published(
    plain: SweepJob, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.drift = 0.9
    summary = sweep(replace(plain, registry=str(tmp_path / "concepts")))
    assert "published" not in summary
    assert Registry(tmp_path / "concepts").names() == []
    assert "no trial kept to both bounds" in capsys.readouterr().out


def test_a_sweep_that_was_interrupted_trains_no_finished_trial_again(
    plain: SweepJob, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.dies_after = 2
    with pytest.raises(KeyboardInterrupt):
        sweep(plain)
    assert "the same command goes on" in capsys.readouterr().out
    cluster.dies_after = None
    summary = sweep(plain)
    assert cluster.trained == [0, 1, 2]
    assert summary["trials"]["finished"] == 3
    assert sweep(plain)["best"] == summary["best"]
    assert "already finished" in capsys.readouterr().out
    assert (cluster.trained, cluster.prepared) == ([0, 1, 2], 2)
    sweep(replace(plain, trials=5))
    assert cluster.trained == [0, 1, 2, 3, 4]


def test_another_sweep_does_not_go_on_in_the_same_folder_unless_it_is_overwritten(
    plain: SweepJob, cluster: Cluster
) -> None:
    sweep(plain)
    others: list[dict[str, Any]] = [
        {"search": ("learning_rate=1e-3,1e-2",)},
        {"method": "optuna"},
        {"steps": 9},
        {"prior_weight": 0.5},
        {"drift_ceiling": 0.5},
    ]
    for changes in others:
        with pytest.raises(RunError, match="other settings"):
            sweep(replace(plain, **changes))
    sweep(replace(plain, drift_ceiling=0.5, overwrite=True))
    assert cluster.trained == [0, 1, 2, 0, 1, 2]


def test_what_is_impossible_is_found_before_the_cluster(plain: SweepJob, cluster: Cluster) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate=2\.0 is impossible"):
        sweep(replace(plain, search=("learning_rate=0.1..2",)))
    assert not plain.output.exists()
    assert cluster.prepared == 0


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    plain: SweepJob, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(replace(plain, dry_run=True, tflops=1.0))
    assert capsys.readouterr().out.startswith("3 trials, random search")
    with pytest.raises(ConfigError, match="steps"):
        sweep(replace(plain, dry_run=True, tflops=1.0, search=("steps=0,1",)))
    assert not plain.output.exists()
    assert cluster.prepared == 0


def test_a_sweep_of_which_every_trial_fails_says_why_and_is_not_finished(
    plain: SweepJob, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(job: SweepJob, plan: TrialPlan, slots: Slots, steps: int) -> None:
        for number in range(job.trial_count):
            plan.folder.trial(number).begin({"learning_rate": 0.5})
            plan.folder.trial(number).end("failed", "the loss is nan")

    monkeypatch.setattr(sweep_driver, "run_trials", fail)
    with pytest.raises(RunError, match="none of 3 trials has finished; the first has failed: the "):
        sweep(plain)
    folder = plain.output / "mycat-sweep"
    assert RunDirectory(folder).read_summary()["status"] == "failed"
    assert not (folder / "report.md").exists()


def test_a_sweep_of_an_earlier_version_goes_on_by_the_names_of_now(
    plain: SweepJob, cluster: Cluster
) -> None:
    weighed = replace(plain, search=(*plain.search, "prior_weighting=mean,four_to_one"))
    sweep(replace(weighed, prior_weighting="four_to_one"))
    files = [path for path in plain.output.rglob("config.yaml") if path.is_file()]
    assert len(files) == 1 + 3
    for path in files:
        path.write_text(path.read_text().replace("four_to_one", "reference"))
    sweep(replace(weighed, prior_weighting="four_to_one", trials=4))
    assert cluster.trained == [0, 1, 2, 3]
    best = yaml.safe_load((plain.output / "mycat-sweep" / "best.yaml").read_text())
    assert best["prior_weighting"] == "four_to_one"


def test_a_sweep_keeps_the_word_that_its_tokens_started_from(
    plain: SweepJob, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    """What tokens start from by default has changed since it began."""
    sweep(plain)
    rare = replace(tiny_base, profile=replace(tiny_base.profile, initializer_tokens=("ktn",)))
    monkeypatch.setattr("rayjobs.training.driver.load_base", lambda *_, **__: rare)
    sweep(replace(plain, trials=4))
    assert cluster.trained == [0, 1, 2, 3]
    with pytest.raises(RunError, match="initializer_token was 'cat', now 'dog'"):
        sweep(replace(plain, trials=5, initializer_token="dog"))


def test_pictures_of_the_class_are_read_for_the_trial_that_shows_most(
    plain: SweepJob, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[TrialPlan] = []

    def run(job: SweepJob, plan: TrialPlan, slots: Slots, steps: int) -> None:
        plans.append(plan)
        cluster.run(job, plan, slots, steps)

    monkeypatch.setattr(sweep_driver, "run_trials", run)
    folder = write_captioned(tmp_path / "cats", 4)
    search = ("regularization_ratio=0,0.5,1", "regularization_images=2,4")
    made = replace(plain, search=search, regularization=folder)
    sweep(made)
    (brought,) = plans[0].task.regularization
    assert len(brought) == 4
    assert plans[0].task.config.regularization_images == 2
    best = yaml.safe_load((plain.output / "mycat-sweep" / "best.yaml").read_text())
    assert best["regularization"] == str(folder)
    with pytest.raises(ConfigError, match=r"has 4 pictures, .* 5 or more"):
        sweep(replace(made, search=(search[0], "regularization_images=2,5"), overwrite=True))
