from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.concepts.storage import load_concept
from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import SetConcept, read_concept_set
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import read_pictures
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.evaluation.concept_training import (
    ConceptTrainer,
    ConceptTraining,
    TrainerTask,
    find_concept,
    training_for,
)
from tests.rayjobs.evaluate_case import job


@pytest.fixture(scope="module")
def plain(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluateJob:
    return job(tmp_path_factory.mktemp("evaluate"), tiny_folder)


@pytest.fixture(scope="module")
def pair(plain: EvaluateJob) -> tuple[SetConcept, ...]:
    return read_concept_set(plain.dataset).pairs[0].concepts


def training(
    plain: EvaluateJob, base: Base, concepts: tuple[SetConcept, ...], output: Path
) -> ConceptTraining:
    file, made = training_for(plain, base, concepts, output)
    assert made is not None
    assert made.file == file
    return made


def test_a_concept_that_is_not_there_is_trained_with_its_pictures(
    plain: EvaluateJob, tiny_base: Base, pair: tuple[SetConcept, ...], tmp_path: Path
) -> None:
    one = training(plain, tiny_base, pair[:1], tmp_path)
    assert [subject.phrase for subject in one.config.subjects] == ["<pet_cat1> cat"]
    assert one.config.steps == 1
    shipped = [[picture.digest for picture in shown] for shown in one.pictures()]
    assert shipped == [[picture.digest for picture in read_pictures(pair[0].images)]]
    both = training(plain, tiny_base, pair, tmp_path)
    # As in the paper, two concepts take twice the steps of one.
    assert (both.config.steps, len(both.pictures())) == (2, 2)
    assert both.file.stem == "pet_cat1+decoritems_woodenpot1"


def test_what_was_trained_otherwise_is_another_file(
    plain: EvaluateJob, tiny_base: Base, pair: tuple[SetConcept, ...], tmp_path: Path
) -> None:
    one = pair[:1]
    other = replace(one[0], images=pair[1].images)
    files = {
        training(plain, tiny_base, one, tmp_path).file,
        training(replace(plain, train_steps=2), tiny_base, one, tmp_path).file,
        training(plain, tiny_base, (other,), tmp_path).file,
    }
    assert len(files) == 3
    assert training(replace(plain, seed=5), tiny_base, one, tmp_path).file in files


def test_a_teacher_writes_concepts_that_are_then_found(
    plain: EvaluateJob, tiny_base: Base, pair: tuple[SetConcept, ...], tmp_path: Path
) -> None:
    teacher = ConceptTrainer(TrainerTask(base=tiny_base.name, cache=tmp_path / "cache"))
    both = training(plain, tiny_base, pair, tmp_path)
    assert teacher.work([both]) == [both.config.name]
    concept = load_concept(both.file)
    concept.check_base(tiny_base)
    assert concept.phrases == ("<pet_cat1> cat", "<decoritems_woodenpot1> wooden pot")
    assert training_for(plain, tiny_base, pair, tmp_path) == (both.file, None)


@pytest.mark.parametrize("place", ["mycat.safetensors", "mycat/mycat.safetensors"])
def test_a_user_s_concept_is_found_as_a_file_or_in_its_run(
    plain: EvaluateJob, tiny_base: Base, pair: tuple[SetConcept, ...], tmp_path: Path, place: str
) -> None:
    path = tmp_path / "own" / place.replace("mycat", "pet_cat1")
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_concept(tmp_path / "own", "pet_cat1") == path
    assert find_concept(tmp_path / "own", "pet_cat2") is None
    assert find_concept(None, "pet_cat1") is None
    given = replace(plain, concepts=tmp_path / "own", train=False)
    assert training_for(given, tiny_base, pair[:1], tmp_path) == (path, None)
    with pytest.raises(ConfigError, match=r"no concept decoritems_woodenpot1.safetensors"):
        training_for(given, tiny_base, pair[1:], tmp_path)


def test_tokens_start_as_those_of_a_training_job_do(
    plain: EvaluateJob, tiny_base: Base, pair: tuple[SetConcept, ...], tmp_path: Path
) -> None:
    profile = replace(tiny_base.profile, initializer_tokens=("ktn", "pll@@"))
    for base, words in (
        (tiny_base, ["cat", "wooden pot"]),
        (replace(tiny_base, profile=profile), ["ktn", "pll@@"]),
    ):
        made = training(plain, base, pair, tmp_path)
        assert [subject.initializer_token for subject in made.config.subjects] == words
