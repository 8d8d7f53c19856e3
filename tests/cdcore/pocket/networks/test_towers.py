"""Tests of `cdcore.pocket.networks.towers`."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from cdcore.pocket.networks.architecture import TEXT_WIDTH
from cdcore.pocket.networks.towers import Towers
from cdcore.pocket.pretraining.stage import open_towers, tokenize

TEXTS = ["a red cat", "a blue dog in the snow", "a green barn at night"]


@pytest.fixture(scope="module")
def towers(untrained_folder: Path) -> Towers:
    return Towers.load(untrained_folder)


def pixels(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_rows_have_length_one_and_each_is_embedded_alone(towers: Towers) -> None:
    pictures, texts = towers.embed_pictures(pixels(3)), towers.embed_texts(TEXTS)
    for rows in (pictures, texts):
        assert rows.shape == (3, TEXT_WIDTH)
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(towers.embed_pictures(pixels(3)[1:]), pictures[1:])
    torch.testing.assert_close(towers.embed_texts(TEXTS[1:]), texts[1:])


def test_they_are_the_towers_that_the_stages_train(towers: Towers, untrained_folder: Path) -> None:
    trained = open_towers(untrained_folder, towers.tokenizer).eval()
    with torch.no_grad():
        picture = trained.vision_model(pixel_values=pixels(2)).pooler_output
        ids = tokenize(towers.tokenizer, TEXTS, torch.device("cpu"))
        text = trained.text_model(input_ids=ids).pooler_output
        expected_pictures = functional.normalize(trained.visual_projection(picture), dim=-1)
        expected_texts = functional.normalize(trained.text_projection(text), dim=-1)
    torch.testing.assert_close(towers.embed_pictures(pixels(2)), expected_pictures)
    torch.testing.assert_close(towers.embed_texts(TEXTS), expected_texts)


def test_a_folder_without_towers_is_an_error_of_the_operating_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="text_projection"):
        Towers.load(tmp_path)
