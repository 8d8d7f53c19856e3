import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.training.captioned_pictures import CaptionedPicture
from cdcore.training.preparation import prepare
from cdcore.training.trainer import TrainingData
from tests.cdcore.training_case import CAT, CHAIR, config


class Encoder:
    """Counts the pictures that the autoencoder sees."""

    def __init__(self) -> None:
        self.seen = 0
        self.original = Base.encode_pixels

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def encode(base: Base, pixels: Tensor) -> tuple[Tensor, Tensor]:
            self.seen += len(pixels)
            return self.original(base, pixels)

        monkeypatch.setattr(Base, "encode_pixels", encode)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    made = Encoder()
    made.install(monkeypatch)
    return made


@pytest.fixture(scope="module")
def base(tiny_base: Base) -> Base:
    return replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))


def pictures(count: int) -> list[Picture]:
    colours = [(40 * number, 90, 200 - 30 * number) for number in range(count)]
    return [
        Picture.from_image(Image.new("RGB", (80, 70), colour), Path(f"{number}.png"))
        for number, colour in enumerate(colours)
    ]


def prepared(base: Base, cache: Path, count: int = 2, **changes: Any) -> TrainingData:
    (data,) = prepare(base, config(**changes), [pictures(count)], cache, lambda *_: None)
    return data


def test_the_caches_hold_what_the_configuration_asks_for(base: Base, tmp_path: Path) -> None:
    data = prepared(base, tmp_path, count=2, variants=3)
    assert data.regularization is not None
    assert data.target.pictures == (0, 0, 0, 1, 1, 1)
    assert data.regularization.pictures == (0, 0, 1, 1, 2, 2)
    assert data.target.shape == data.regularization.shape == base.latent_shape
    assert set(data.regularization.prefixes) == {""}
    everywhere = data.regularization.gather(range(6)).valid_mask
    assert torch.all(everywhere == 1)


def test_a_second_run_encodes_nothing_and_finds_the_same(
    base: Base, tmp_path: Path, encoder: Encoder
) -> None:
    first = prepared(base, tmp_path)
    assert encoder.seen == 2 * 2 + 2 * 3
    again = prepared(base, tmp_path)
    assert encoder.seen == 10
    assert again.regularization is not None
    assert first.regularization is not None
    for old, new in (
        (first.target, again.target),
        (first.regularization, again.regularization),
    ):
        assert old.path == new.path
        assert torch.equal(old.gather([0, 1]).mean, new.gather([0, 1]).mean)


@pytest.mark.parametrize(
    ("changes", "encoded"),
    [
        ({"steps": 99, "learning_rate": 0.5, "prior_weight": 0.1, "name": "other"}, 0),
        ({"count": 3}, 6),
        ({"variants": 3}, 6),
        ({"seed": 1}, 4),
        ({"augment": False}, 4),
        ({"flip": False}, 4 + 3),
        ({"regularization_images": 4}, 8),
    ],
)
def test_only_what_has_changed_is_encoded_again(
    base: Base, tmp_path: Path, encoder: Encoder, changes: dict[str, Any], encoded: int
) -> None:
    prepared(base, tmp_path)
    encoder.seen = 0
    prepared(base, tmp_path, **changes)
    assert encoder.seen == encoded


def test_another_autoencoder_or_resolution_has_latents_of_its_own(
    base: Base, tmp_path: Path, encoder: Encoder
) -> None:
    autoencoder = copy.deepcopy(base.autoencoder)
    with torch.no_grad():
        next(autoencoder.parameters()).mul_(1.5)
    others = (
        replace(base, autoencoder=autoencoder),
        replace(base, profile=replace(base.profile, resolution=128)),
    )
    prepared(base, tmp_path)
    for other in others:
        encoder.seen = 0
        prepared(other, tmp_path)
        assert encoder.seen == 4 + 6
    encoder.seen = 0
    for known in (base, *others):
        prepared(known, tmp_path)
    assert encoder.seen == 0


def test_without_regularization_nothing_is_generated(base: Base, tmp_path: Path) -> None:
    data = prepared(base, tmp_path, regularization_ratio=0.0)
    assert data.regularization is None
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]


def test_subjects_have_their_own_pictures_and_share_those_of_a_class(
    base: Base, tmp_path: Path, encoder: Encoder
) -> None:
    other_cat = replace(CAT, token="<other>")
    calls: list[tuple[str, int, int]] = []
    first, second, third = prepare(
        base,
        config(subjects=(CAT, other_cat, CHAIR), variants=16),
        [pictures(1), pictures(3)[1:], pictures(4)[3:]],
        tmp_path,
        lambda *call: calls.append(call),
    )
    assert [len(data.target) for data in (first, second, third)] == [16, 32, 16]
    assert first.target.path != second.target.path
    assert first.regularization is not None
    assert second.regularization is not None
    assert third.regularization is not None
    assert first.regularization.path == second.regularization.path
    assert first.regularization.path != third.regularization.path
    assert encoder.seen == 16 + 32 + 16 + 2 * (2 * 3)
    assert calls == [
        ("encoding pictures", 16, 64),
        ("regularization images", 3, 9),
        ("encoding pictures", 32, 64),
        ("encoding pictures", 48, 64),
        ("encoding pictures", 64, 64),
        ("regularization images", 9, 9),
    ]


def test_slow_work_is_told_about(base: Base, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []

    def record(phase: str, done: int, total: int) -> None:
        calls.append((phase, done, total))

    for _ in range(2):
        prepare(base, config(variants=20), [pictures(2)], tmp_path, record)
    assert calls == [
        ("encoding pictures", 16, 40),
        ("encoding pictures", 32, 40),
        ("regularization images", 3, 3),
    ]


def captioned(count: int) -> list[CaptionedPicture]:
    return [
        CaptionedPicture(picture=one, caption=f"cat {number}")
        for number, one in enumerate(pictures(count))
    ]


def test_pictures_that_are_brought_are_encoded_and_none_is_generated(
    base: Base, tmp_path: Path, encoder: Encoder
) -> None:
    calls: list[tuple[str, int, int]] = []
    own, generated = prepare(
        base,
        config(subjects=(CAT, CHAIR), regularization_images=3),
        [pictures(1), pictures(2)[1:]],
        tmp_path,
        lambda *call: calls.append(call),
        [captioned(5), ()],
    )
    assert own.captions == ["cat 0", "cat 1", "cat 2"], "further ones are left out"
    assert generated.captions == []
    assert own.regularization is not None
    assert generated.regularization is not None
    assert own.regularization.pictures == generated.regularization.pictures == (0, 0, 1, 1, 2, 2)
    assert own.regularization.path != generated.regularization.path
    assert encoder.seen == 2 + 2 + 2 * (2 * 3)
    assert calls == [("regularization images", 3, 3)], "those of the chair"
    assert len(list((tmp_path / "regularization").iterdir())) == 1


def test_without_a_row_for_them_they_are_not_encoded(base: Base, tmp_path: Path) -> None:
    made = config(regularization_ratio=0.0)
    (data,) = prepare(base, made, [pictures(2)], tmp_path, lambda *_: None, [captioned(3)])
    assert (data.regularization, data.captions) == (None, ())


def test_other_pictures_of_the_class_are_other_latents(base: Base, tmp_path: Path) -> None:
    def path(brought: list[CaptionedPicture]) -> Path:
        (data,) = prepare(base, config(), [pictures(2)], tmp_path, lambda *_: None, [brought])
        assert data.regularization is not None
        return data.regularization.path

    one = captioned(3)
    assert path(one) == path([replace(brought, caption="a cat") for brought in one])
    assert path(one) != path(one[::-1])
