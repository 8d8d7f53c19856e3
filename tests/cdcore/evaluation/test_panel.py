from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.errors import BaseModelError
from cdcore.evaluation.panel import JUDGE, Panel, PanelSources, load_panel
from cdcore.model.base import Base
from cdcore.model.families import SD1
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_image
from cdcore.pocket.networks.judge import Judge
from cdcore.scoring.clip_dino import CLIP_SOURCE, DINO_SOURCE
from tests.cdcore.embedder_case import dino_folder, save_clip

SOURCES = PanelSources(clip=JUDGE, dino=JUDGE)


@pytest.fixture(scope="module")
def panel(tiny_base: Base) -> Panel:
    return load_panel(SOURCES, tiny_base)


def pixels(count: int, side: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, side, side, generator=generator) * 2 - 1


def test_a_pocket_is_scored_by_its_judge_and_a_real_base_by_the_published_embedders(
    tiny_base: Base,
) -> None:
    real = replace(tiny_base, family=SD1)
    assert PanelSources.of_base(tiny_base, None, None) == SOURCES
    assert PanelSources.of_base(real, None, None) == PanelSources(
        clip=CLIP_SOURCE, dino=DINO_SOURCE
    )
    assert PanelSources.of_base(real, None, "/dino").dino == "/dino"


def test_the_rows_are_the_judge_s_own_in_the_order_of_pictures_and_texts(panel: Panel) -> None:
    judge = Judge.load(POCKET_FOLDER / "judge")
    texts = ["a cat", "a dog", "a cat"]
    rows = panel.rows(pixels(3), texts, ("cat", "dog"))
    with torch.no_grad():
        torch.testing.assert_close(rows.clip, judge.embed_pictures(pixels(3)))
        torch.testing.assert_close(rows.dino, judge.look(pixels(3)))
        assert rows.text is not None
        torch.testing.assert_close(rows.text, judge.embed_texts(texts))
    assert rows.present is not None
    assert torch.equal(rows.present, judge.finds_all(pixels(3), ("cat", "dog")))


def test_nobody_looks_for_what_the_judge_does_not_know(panel: Panel) -> None:
    assert panel.rows(pixels(1), ["a sofa"], ("cat", "sofa")).present is None
    assert panel.rows(pixels(1)).text is None


def test_pictures_of_any_size_become_rows_one_for_each(panel: Panel) -> None:
    images = [to_image(pixels(1, side)[0]) for side in (64, 80)]
    pictures = [Picture.from_image(image, Path("x.png")) for image in images]
    rows = panel.picture_rows(pictures)
    assert len(rows.clip) == len(rows.dino) == 2
    again = panel.rows(pixels(1))
    # A picture has whole steps of 1/255.
    torch.testing.assert_close(rows.clip[:1], again.clip, rtol=0, atol=0.02)


def test_a_real_base_needs_no_judge_and_nobody_looks_for_things(
    tiny_base: Base, tmp_path: Path
) -> None:
    real = replace(tiny_base, family=SD1)
    clip, dino = save_clip(tmp_path / "clip"), dino_folder(tmp_path / "dino", "dinov2")
    panel = load_panel(PanelSources(clip=str(clip), dino=str(dino)), real)
    rows = panel.rows(pixels(2), ["a cat", "a dog"], ("cat", "dog"))
    assert rows.text is not None
    assert (rows.clip.shape, rows.text.shape, rows.dino.shape) == ((2, 6), (2, 6), (2, 8))
    assert rows.present is None


def test_each_embedder_can_be_another_one(tiny_base: Base, tmp_path: Path, panel: Panel) -> None:
    mixed = load_panel(PanelSources(clip=JUDGE, dino=str(dino_folder(tmp_path, "vit"))), tiny_base)
    assert mixed.rows(pixels(2)).dino.shape == (2, 8)
    assert torch.equal(mixed.rows(pixels(2)).clip, panel.rows(pixels(2)).clip)
    with pytest.raises(BaseModelError, match="give --clip a folder"):
        load_panel(PanelSources(clip="no/where", dino=JUDGE), tiny_base)
