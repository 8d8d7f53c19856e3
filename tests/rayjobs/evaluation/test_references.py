from pathlib import Path

import pytest
import torch

from cdcore.evaluation.panel import JUDGE, Panel, PanelSources, load_panel
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import read_pictures
from rayjobs.evaluation.references import reference_rows
from tests.rayjobs.train_case import write_pictures

SOURCES = PanelSources(clip=JUDGE, dino=JUDGE)


@pytest.fixture(scope="module")
def panel(tiny_base: Base) -> Panel:
    return load_panel(SOURCES, tiny_base)


def test_each_key_has_the_rows_of_its_folder_one_for_each_picture(
    panel: Panel, tmp_path: Path
) -> None:
    first, second = (write_pictures(tmp_path / name, n) for name, n in (("a", 2), ("b", 3)))
    rows = reference_rows({1: first, 2: second, 3: first}, panel, SOURCES, tmp_path / "out")
    expected = panel.picture_rows(read_pictures(second))
    assert torch.equal(rows[2].clip, expected.clip)
    assert len(rows[1].dino) == 2
    assert rows[3] is rows[1]


def test_a_folder_is_embedded_again_only_when_its_pictures_or_the_panel_change(
    panel: Panel, tmp_path: Path
) -> None:
    folder, output = write_pictures(tmp_path / "a", 2), tmp_path / "out"
    reference_rows({"a": folder}, panel, SOURCES, output)
    (kept,) = (output / "references").iterdir()
    written = kept.stat().st_mtime_ns
    reference_rows({"a": folder}, panel, SOURCES, output)
    assert kept.stat().st_mtime_ns == written
    (folder / "1.png").unlink()
    assert len(reference_rows({"a": folder}, panel, SOURCES, output)["a"].clip) == 1
    other = PanelSources(clip=JUDGE, dino="another")
    reference_rows({"a": folder}, panel, other, output)
    assert len(list((output / "references").iterdir())) == 3
