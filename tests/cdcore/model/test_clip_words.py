"""Tests of `cdcore.model.clip_words`."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from cdcore.model.clip_words import words_folder
from tests.hub import lay_out


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of this process, which is offline."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def _words(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("repository", "place"),
    [
        ("openai/clip-vit-large-patch14", ""),
        ("CompVis/stable-diffusion-v1-4", "tokenizer"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "tokenizer"),
    ],
)
def test_words_of_any_base_in_the_cache_do(
    cache: Path, tmp_path: Path, repository: str, place: str
) -> None:
    _words(tmp_path / "repository" / place)
    snapshot = lay_out(tmp_path / "repository", cache, repository)
    assert words_folder(tmp_path / "model.ckpt") == snapshot / place


def test_words_beside_the_checkpoint_come_first(cache: Path, tmp_path: Path) -> None:
    beside = _words(tmp_path / "tokenizer")
    assert words_folder(tmp_path / "model.ckpt") == beside
    assert not cache.exists()


def test_without_any_the_command_that_fetches_them_is_named(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    expected = r"'hf download openai/clip-vit-large-patch14 vocab\.json merges\.txt'"
    with pytest.raises(FileNotFoundError, match=expected):
        words_folder(tmp_path / "model.ckpt")
