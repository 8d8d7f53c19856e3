import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from cdcore.evaluation.cell import Cell
from cdcore.evaluation.dataset import SetConcept, SetEntry
from cdcore.evaluation.embeddings import CellRows
from cdcore.evaluation.plan import EvaluationPlan, Selection
from cdcore.evaluation.scores import EntryScores, method_scores
from rayjobs.evaluation.report import (
    noted,
    print_table,
    save_grids,
    save_prompts,
    save_tables,
)

COLORS = {"base": "red", "single": "lime"}
ENTRY = EntryScores(
    section="single",
    method="single",
    entry="cat1",
    pictures=4,
    clip_score=0.7,
    text_cosine=0.28,
    image_clip=(0.8,),
    image_dino=(0.6,),
    drift=0.1,
    present=None,
    kid=0.02,
)


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    entries = []
    for name, color in (("cat1", "blue"), ("cat2", "blue")):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (90, 60), color).save(folder / "0.jpg")
        concept = SetConcept(name=name, class_noun="cat", images=folder, class_folder=folder / "no")
        entries.append(SetEntry(concepts=(concept,), prompts=("a {0}", "a {0} at night")))
    return Selection(singles=tuple(entries), pairs=())


@pytest.fixture
def cells(selection: Selection, tmp_path: Path) -> tuple[Cell, ...]:
    plan = EvaluationPlan(methods=("single",), pictures=2, drift_pictures=1, kid_pictures=0, seed=0)
    made = plan.cells(selection)
    for cell in made:
        if cell.part == "prompts":
            for index in range(2):
                path = cell.picture_file(tmp_path, index)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (64, 64), COLORS[cell.method]).save(path)
    return made


def test_a_grid_has_a_row_of_target_and_methods_for_each_entry(
    selection: Selection, cells: tuple[Cell, ...], tmp_path: Path
) -> None:
    (path,) = save_grids(tmp_path, (selection.singles, selection.pairs), cells)
    assert path.name == "grid-single.png"
    with Image.open(path) as drawn:
        pixels = drawn.convert("RGB").quantize(16).convert("RGB").getcolors(10**7) or []
        areas = {color: count for count, color in pixels}
    # Two rows of one target, one picture of the base and one of the concept, 192 pixels each.
    side = 192
    for color in ((0, 0, 254), (255, 0, 0), (0, 255, 0)):
        near = [count for found, count in areas.items() if _distance(found, color) < 12]
        assert sum(near) == pytest.approx(2 * side**2, rel=0.02)


def _distance(found: object, color: tuple[int, ...]) -> int:
    assert isinstance(found, tuple)
    return sum(abs(a - b) for a, b in zip(found, color, strict=True))


def test_prompts_lie_beside_the_samples_as_the_original_script_reads_them(
    cells: tuple[Cell, ...], tmp_path: Path
) -> None:
    save_prompts(tmp_path, cells)
    folder = tmp_path / "pictures" / "single" / "single" / "cat1"
    prompts = json.loads((folder / "prompts.json").read_text())
    assert prompts.keys() == {path.stem for path in (folder / "samples").glob("*.png")}
    assert prompts["001-000"] == "a cat at night"


def test_tables_are_for_people_and_for_programs(tmp_path: Path) -> None:
    methods = method_scores([ENTRY])
    page, file = save_tables(tmp_path, [ENTRY], methods, "200 steps", {"base": "pocket"})
    assert "| concepts | concept, K/V | 1 | 0.7000 |" in page.read_text()
    found = json.loads(file.read_text())
    assert found["entries"][0]["image_clip"] == [0.8]
    assert found["methods"][0]["kid"] == 0.02
    assert {line["protocol"] for line in found["published"]} == {"200 steps"}
    assert found["made_with"] == {"base": "pocket"}


def test_what_merges_lost_is_said_once_for_each_entry_and_method(
    cells: tuple[Cell, ...], tmp_path: Path
) -> None:
    rows = CellRows(clip=torch.zeros(1, 2), dino=torch.zeros(1, 2))
    for cell in cells:
        notes = ["ill-posed merge: it is"] if cell.method == "single" else []
        rows.save(cell.file(tmp_path), "d", notes)
    entries = list(dict.fromkeys(cell.entry for cell in cells))
    notes = noted(tmp_path, cells)
    assert notes == [f"{entry} by single: ill-posed merge: it is" for entry in entries]
    page, file = save_tables(tmp_path, [ENTRY], method_scores([ENTRY]), "200 steps", {}, notes)
    assert all(f"note: {note}" in page.read_text() for note in notes)
    assert json.loads(file.read_text())["notes"] == notes
    told = io.StringIO()
    print_table(Console(file=told, width=40), [], [*notes, *map(str, range(20))])
    lines = [line for line in told.getvalue().splitlines() if line.startswith("note: ")]
    assert lines[0] == f"note: {notes[0]}"
    assert len(lines) == 11
    assert lines[-1] == f"note: {10 + len(notes)} more such notes are in evaluation.md"


def test_a_table_in_a_file_keeps_every_figure_whole() -> None:
    text = io.StringIO()
    print_table(Console(file=text, width=150), method_scores([ENTRY]))
    line = next(line for line in text.getvalue().splitlines() if "concept, K/V" in line)
    assert line.split()[-5:] == ["0.8000", "0.6000", "20.00", "0.2800", "0.1000"]
