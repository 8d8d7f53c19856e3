"""Tests of the weights that `cdcore/pocket/weights` ships."""

from pathlib import Path

import pytest
import torch

from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pocket.examination.exam import Exam, draw_exam
from cdcore.pocket.examination.report import retrieval_top1, single_scores
from cdcore.pocket.examination.showcase import reconstruct
from cdcore.pocket.networks.architecture import TEXT_WIDTH
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.judge_embedders import embedder_of
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.networks.towers import Towers
from cdcore.pocket.pretraining.reading import ReadingKey
from cdcore.pocket.scenes.caption import words
from cdcore.scoring.before_after import PROMPTS, evaluate_concept
from cdcore.scoring.targets import picture_pixels
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.preparation import prepare
from cdcore.training.trainer import train_alone

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_MOST_BYTES, _MOST_FILE_BYTES = 24e6, 15e6


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("pocket")


@pytest.fixture(scope="module")
def exam() -> Exam:
    return draw_exam(64, lambda scene: len(scene.things) == 1)


def test_they_are_small() -> None:
    sizes = [path.stat().st_size for path in Path(POCKET_FOLDER).rglob("*") if path.is_file()]
    assert sum(sizes) <= _MOST_BYTES
    assert max(sizes) <= _MOST_FILE_BYTES


def test_the_autoencoder_keeps_what_pictures_show(base: Base, exam: Exam) -> None:
    error = (reconstruct(base, exam.pixels) - exam.pixels).square().mean()
    assert error < 0.005


def test_the_judge_tells_kinds_places_and_colors_apart(exam: Exam) -> None:
    judge = Judge.load(POCKET_FOLDER / "judge")
    scores = single_scores(judge.see(exam.pixels)[1], exam.scenes)
    assert min(scores.values()) > 0.85


@torch.no_grad()
def test_the_towers_find_the_caption_of_a_picture(exam: Exam) -> None:
    towers = Towers.load(POCKET_FOLDER)
    pictures, texts = towers.embed_pictures(exam.pixels), towers.embed_texts(list(exam.captions))
    assert retrieval_top1(pictures, texts) > 0.9


@torch.no_grad()
def test_the_text_tower_says_at_each_word_what_it_settles(base: Base, exam: Exam) -> None:
    captions = list(exam.captions)
    wanted = ReadingKey(build_tokenizer(words()), TEXT_WIDTH).rows(captions)
    errors = (base.text_encoder.encode(captions) - wanted).square().mean(dim=-1)
    # The start token says nothing, and its row is that of all that say nothing.
    settles = (wanted != wanted[:, :1]).any(dim=-1)
    assert errors[settles].mean() < 0.2, "of 2, which is what two unrelated rows are apart"


@torch.no_grad()
def test_the_own_caption_helps_to_see_the_picture_in_the_noise(base: Base, exam: Exam) -> None:
    mean, _ = base.encode_pixels(exam.pixels)
    latents = mean * base.autoencoder.config.scaling_factor
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    timesteps = torch.full((len(latents),), 600)
    noisy = base.noise_schedule.add_noise(latents, noise, timesteps)
    target = base.noise_schedule.target(latents, noise, timesteps)

    def error(captions: list[str]) -> float:
        text_kv = base.seam.project(base.text_encoder.encode(captions))
        return float((base.seam.predict(noisy, timesteps, text_kv) - target).square().mean())

    captions = list(exam.captions)
    assert error(captions) < 0.9 * error([*captions[1:], captions[0]])


@pytest.mark.slow
def test_what_is_taught_is_drawn_more_like_its_pictures_and_the_rest_stays(
    base: Base, tmp_path: Path
) -> None:
    """The README's headline in an eighth of its steps, scored on pictures held back."""
    pictures = read_pictures(EXAMPLES / "mycat")
    subject = SubjectConfig(class_noun="cat", token="<mycat>", initializer_token="cat")
    config = TrainingConfig.of_profile(
        base.profile,
        name="mycat",
        subjects=(subject,),
        steps=80,
        learning_rate=2e-3,
        variants=8,
        regularization_images=8,
    )
    data = prepare(base, config, [pictures[2:]], tmp_path, lambda *_: None)
    found = evaluate_concept(
        base,
        train_alone(base, config, data),
        picture_pixels(base, pictures[:2]),
        embedder=embedder_of(base),
        seeds=(0, 1),
        prompts=PROMPTS[:3],
    ).metrics
    assert found["image_alignment"]["concept"] > found["image_alignment"]["base"] + 0.05
    assert found["prior_drift"] < 0.3
