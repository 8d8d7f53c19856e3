from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cdcore.errors import PictureError
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.training import regularization
from cdcore.training.regularization import regularization_folder, regularization_pictures

PROMPT = "photo of a cat"


@pytest.fixture(scope="module")
def base(tiny_base: Base) -> Base:
    return replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=2))


class Counter:
    """Samples noise instead of pictures, and counts; may be cut off after so many batches."""

    def __init__(self, batches: int = 1000) -> None:
        self.batches = batches
        self.seeds: list[int] = []

    def __call__(self, base: Base, requests: Sequence[Request]) -> Tensor:
        if self.batches == 0:
            raise KeyboardInterrupt
        self.batches -= 1
        self.seeds += [request.seed for request in requests]
        return torch.stack(
            [
                torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(request.seed)) * 2 - 1
                for request in requests
            ]
        )


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    made = Counter()
    monkeypatch.setattr(regularization, "sample", made)
    return made


def digests(pictures: Sequence[Picture]) -> list[str]:
    return [picture.digest for picture in pictures]


def test_picture_n_is_the_base_s_own_sample_with_seed_n(base: Base, tmp_path: Path) -> None:
    made = regularization_pictures(base, PROMPT, 3, tmp_path)
    profile = base.profile
    request = Request(
        prompt=PROMPT,
        seed=2,
        steps=2,
        guidance_scale=profile.guidance_scale,
        sampler=profile.sampler,
    )
    expected = ((sample(base, [request])[0] + 1) * 127.5).round()
    seen = torch.frombuffer(bytearray(made[2].image.tobytes()), dtype=torch.uint8)
    assert (seen.reshape(64, 64, 3).permute(2, 0, 1) - expected).abs().max() <= 1
    assert len(set(digests(made))) == 3


def test_a_second_call_generates_none(base: Base, tmp_path: Path, counter: Counter) -> None:
    calls: list[tuple[int, int]] = []
    first = regularization_pictures(
        base, PROMPT, 40, tmp_path, on_progress=lambda done, total: calls.append((done, total))
    )
    assert counter.seeds == list(range(40))
    assert calls == [(32, 40), (40, 40)]
    again = regularization_pictures(
        base, PROMPT, 40, tmp_path, on_progress=lambda *call: calls.append(call)
    )
    assert digests(again) == digests(first)
    assert len(counter.seeds) == 40
    assert len(calls) == 2


def test_more_pictures_keep_those_that_are_there_and_fewer_take_the_first(
    base: Base, tmp_path: Path, counter: Counter
) -> None:
    few = regularization_pictures(base, PROMPT, 3, tmp_path)
    many = regularization_pictures(base, PROMPT, 5, tmp_path)
    assert counter.seeds == [0, 1, 2, 3, 4]
    assert digests(many[:3]) == digests(few)
    assert digests(regularization_pictures(base, PROMPT, 2, tmp_path)) == digests(few[:2])
    assert len(counter.seeds) == 5


def test_an_interrupted_folder_is_continued(base: Base, tmp_path: Path, counter: Counter) -> None:
    counter.batches = 1
    with pytest.raises(KeyboardInterrupt):
        regularization_pictures(base, PROMPT, 70, tmp_path)
    counter.batches = 1000
    calls: list[int] = []
    made = regularization_pictures(
        base, PROMPT, 70, tmp_path, on_progress=lambda done, _: calls.append(done)
    )
    assert counter.seeds == list(range(70))
    assert calls == [64, 70]
    folder = regularization_folder(base, PROMPT, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [f"{n:05d}.png" for n in range(70)]
    assert len(made) == 70


def test_a_lost_picture_is_made_again(base: Base, tmp_path: Path, counter: Counter) -> None:
    first = regularization_pictures(base, PROMPT, 4, tmp_path)
    (regularization_folder(base, PROMPT, tmp_path) / "00002.png").unlink()
    assert digests(regularization_pictures(base, PROMPT, 4, tmp_path)) == digests(first)
    assert counter.seeds == [0, 1, 2, 3, 2]


def test_a_damaged_picture_is_named(base: Base, tmp_path: Path, counter: Counter) -> None:
    regularization_pictures(base, PROMPT, 2, tmp_path)
    (regularization_folder(base, PROMPT, tmp_path) / "00001.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"00001\.png.*remove"):
        regularization_pictures(base, PROMPT, 2, tmp_path)
    assert counter.seeds == [0, 1]


def test_whatever_changes_a_picture_changes_the_folder(base: Base, tmp_path: Path) -> None:
    def folder(prompt: str = PROMPT, **changes: Any) -> Path:
        other = replace(base, profile=replace(base.profile, **changes))
        return regularization_folder(other, prompt, tmp_path)

    assert folder() == folder(steps=999, learning_rate=0.5)
    others = {
        folder("photo of a dog"),
        folder(sampling_steps=3),
        folder(guidance_scale=2.0),
        folder(sampler="ddim"),
        folder(resolution=32),
        regularization_folder(replace(base, fingerprint="0" * 64), PROMPT, tmp_path),
    }
    assert len(others | {folder()}) == 7
