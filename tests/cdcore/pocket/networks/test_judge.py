"""Tests of `cdcore.pocket.networks.judge`."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.pixels import to_pixels
from cdcore.pocket.drawing.render import render
from cdcore.pocket.networks.architecture import TEXT_WIDTH
from cdcore.pocket.networks.judge import Judge, label_scenes
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from cdcore.pocket.scenes.scene import COLORS, KINDS, PLACES, Scene, Thing

TEXTS = ["a red cat", "a blue dog in the snow"]


@pytest.fixture(scope="module")
def judge() -> Judge:
    tokenizer = build_tokenizer(words())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Judge.untrained(tokenizer, layers=1).eval()


def pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_labels_say_what_a_scene_shows() -> None:
    cat, dog = Thing(kind="cat", color="red"), Thing(kind="dog", color="blue")
    labels = label_scenes(
        [
            Scene(things=(cat,), place="at night"),
            Scene(things=(cat, dog), relation="next to", place="in the snow"),
        ]
    )
    assert labels.places.tolist() == [PLACES.index("at night"), PLACES.index("in the snow")]
    assert labels.kinds.shape == labels.colors.shape == (2, len(KINDS))
    assert labels.kinds.sum(dim=1).tolist() == [1, 2]
    at_cat, at_dog = KINDS.index("cat"), KINDS.index("dog")
    assert labels.colors[:, at_cat].tolist() == [COLORS.index("red")] * 2
    assert labels.colors[:, at_dog].tolist() == [-1, COLORS.index("blue")]
    assert ((labels.colors >= 0) == labels.kinds.bool()).all()


def test_two_of_a_kind_have_no_colour_to_name() -> None:
    cats = tuple(Thing(kind="cat", color=color) for color in ("red", "blue"))
    labels = label_scenes([Scene(things=cats, relation="next to", place="at night")])
    assert labels.kinds[0, KINDS.index("cat")] == 1
    assert (labels.colors == -1).all()


@torch.no_grad()
def test_embeddings_have_length_one_and_each_row_is_judged_alone(judge: Judge) -> None:
    embeddings, logits = judge.see(pixels())
    texts = judge.embed_texts(TEXTS)
    for rows in (embeddings, texts):
        assert rows.shape == (2, TEXT_WIDTH)
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(2))
    assert torch.equal(judge.embed_pictures(pixels()), embeddings)
    torch.testing.assert_close(judge.embed_pictures(pixels()[1:]), embeddings[1:])
    torch.testing.assert_close(judge.embed_texts(TEXTS[1:]), texts[1:])
    assert logits.kinds.shape == (2, len(KINDS))
    assert logits.colors.shape == (2, len(KINDS), len(COLORS))
    assert logits.places.shape == (2, len(PLACES))


@torch.no_grad()
def test_a_saved_judge_judges_the_same(judge: Judge, tmp_path: Path) -> None:
    judge.save(tmp_path)
    loaded = Judge.load(tmp_path)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    assert next(judge.parameters()).dtype == torch.float32, "saving leaves it as it was"
    (ours, our_logits), (theirs, their_logits) = judge.see(pixels()), loaded.see(pixels())
    torch.testing.assert_close(theirs, ours, rtol=0, atol=5e-3)
    torch.testing.assert_close(their_logits.colors, our_logits.colors, rtol=0, atol=5e-3)
    torch.testing.assert_close(
        loaded.embed_texts(TEXTS), judge.embed_texts(TEXTS), rtol=0, atol=5e-3
    )


def test_a_folder_without_a_judge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no file named"):
        Judge.load(tmp_path)


def test_heads_of_another_version_are_refused(judge: Judge, tmp_path: Path) -> None:
    judge.save(tmp_path)
    heads = load_file(tmp_path / "heads.safetensors")
    save_file(
        {f"old.{name}": value for name, value in heads.items()}, tmp_path / "heads.safetensors"
    )
    with pytest.raises(OSError, match="train the judge again"):
        Judge.load(tmp_path)


def test_all_kinds_are_found_where_each_one_s_own_logit_is_positive(judge: Judge) -> None:
    shown = pixels(6)
    with torch.no_grad():
        positive = judge.see(shown)[1].kinds > 0
    for kinds in (["cat"], ["dog", "barn"], list(KINDS[:4])):
        expected = [
            all(bool(positive[row, KINDS.index(kind)]) for kind in kinds) for row in range(6)
        ]
        assert judge.finds_all(shown, kinds).tolist() == expected
    with pytest.raises(ValueError, match="submarine"):
        judge.finds_all(shown, ["cat", "submarine"])


def test_the_shipped_judge_finds_both_things_of_a_drawn_pair_and_not_what_is_missing() -> None:
    shipped = Judge.load(POCKET_FOLDER / "judge")
    cat, barn = Thing(kind="cat", color="red"), Thing(kind="barn", color="blue")
    scene = Scene(things=(cat, barn), relation="next to", place="on the grass")
    drawn = [render(scene, random.Random(seed)) for seed in range(8)]
    shown = to_pixels(torch.from_numpy(np.stack([np.asarray(image) for image in drawn])))
    assert shipped.finds_all(shown, ["cat", "barn"]).float().mean() >= 0.75
    assert shipped.finds_all(shown, ["cat", "person"]).float().mean() <= 0.25
    looks = shipped.look(shown)
    torch.testing.assert_close(looks.norm(dim=-1), torch.ones(8))
