from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.sampling.pipeline import sample
from cdcore.scoring.base_pictures import save_base_pictures
from cdcore.scoring.before_after import PROMPTS
from cdcore.training.engine import ConceptParameters
from cdcore.training.trainer import trained_concept
from rayjobs.training import validation
from rayjobs.training.task import ScorePlan, TrainTask
from rayjobs.training.validation import Validation, flat_scores
from tests.rayjobs.train_case import train_task
from tests.tiny import random_update


@pytest.fixture(scope="module")
def base(tiny_base: Base) -> Base:
    return replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))


@pytest.fixture(autouse=True)
def judge(tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of the pocket world, which a base of another profile does not get."""
    embedder = embedder_of(tiny_base)
    assert embedder is not None
    monkeypatch.setattr(validation, "embedder_of", lambda _: embedder)


@pytest.fixture
def task(tmp_path: Path) -> TrainTask:
    return train_task(tmp_path, sample_seeds=(3, 8), scoring=ScorePlan(every=2, prompts=2, seeds=1))


def concept(base: Base, task: TrainTask, seed: int | None = None) -> Concept:
    made = trained_concept(base, task.config, ConceptParameters.initial(base, task.config))
    if seed is None:
        return made
    return replace(made, update=random_update(base.seam.layout.shape, seed=seed))


def test_it_is_due_at_multiples_before_the_end() -> None:
    plan = ScorePlan(every=3, prompts=1, seeds=1)
    assert [step for step in range(1, 10) if plan.is_due(step, 9)] == [3, 6]


def test_a_concept_that_changes_nothing_scores_as_the_base_does(
    base: Base, task: TrainTask
) -> None:
    scores = Validation(base, task).scores(concept(base, task))
    assert scores["prior_drift"] == pytest.approx(0, abs=1e-5)
    assert scores.keys() == {
        "image_alignment",
        "text_alignment",
        "prior_drift",
        "base_image_alignment",
        "base_text_alignment",
    }
    assert Validation(base, task).scores(concept(base, task, seed=1))["prior_drift"] > 1e-4


def test_known_pictures_of_the_base_change_no_score(base: Base, task: TrainTask) -> None:
    path = task.run.path / "base.safetensors"
    save_base_pictures(
        path, base, [subject.class_noun for subject in task.config.subjects], task.sample_seeds
    )
    assert task.scoring is not None
    knowing = replace(task, scoring=replace(task.scoring, base_pictures=path))
    made = concept(base, task, seed=1)
    expected = Validation(base, task).scores(made)
    assert Validation(base, knowing).scores(made) == pytest.approx(expected, abs=1e-4)


def test_the_pictures_of_the_base_are_sampled_once(
    base: Base, task: TrainTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[int] = []

    def counting(base: Base, requests: Any, **kept: Any) -> torch.Tensor:
        sampled.append(len(requests))
        return sample(base, requests, **kept)

    monkeypatch.setattr("cdcore.scoring.before_after.sample", counting)
    scorer = Validation(base, task)
    for seed in (1, 2):
        scorer.scores(concept(base, task, seed=seed))
    assert sampled == [3 * 2, 2 * 2]
    assert len(PROMPTS) > 2


def test_without_a_judge_runs_cannot_be_compared(
    base: Base, task: TrainTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "embedder_of", lambda _: None)
    with pytest.raises(ConfigError, match="no judge"):
        Validation(base, task)


def test_figures_without_scores_are_none() -> None:
    assert flat_scores({}) == {}
