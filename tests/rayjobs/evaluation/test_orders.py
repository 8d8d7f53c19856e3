"""Tests of `rayjobs.evaluation.orders`."""

from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import ConceptSet, SetConcept, SetEntry
from cdcore.evaluation.plan import EvaluationPlan, Selection, select
from rayjobs.evaluation.orders import Names, cell_orders, check_nouns, needed_concepts
from rayjobs.evaluation.worker import CellOrder

PLAN = EvaluationPlan(
    methods=("base", "single", "joint", "constrained", "ridge"),
    pictures=1,
    drift_pictures=1,
    kid_pictures=0,
    seed=0,
)
CAT, POT = (
    SetConcept(name=name, class_noun=noun, images=Path("none"), class_folder=Path("none"))
    for name, noun in (("cat1", "cat"), ("pot1", "wooden pot"))
)
FILES: dict[Names, str] = {("cat1",): "a", ("pot1",): "b", ("cat1", "pot1"): "ab"}


@pytest.fixture(scope="module")
def selection() -> Selection:
    made = ConceptSet(
        singles=(SetEntry(concepts=(CAT,), prompts=("a {0}",)),),
        pairs=(SetEntry(concepts=(CAT, POT), prompts=("a {0} in a {1}",)),),
        notes=(),
    )
    return select(made, sections=("single", "pair"), limit=None, prompts=None)


@pytest.fixture
def files(tmp_path: Path) -> dict[Names, Path]:
    made = {names: tmp_path / f"{text}.safetensors" for names, text in FILES.items()}
    for path in made.values():
        path.write_text(path.stem)
    return made


def orders(
    selection: Selection, files: dict[Names, Path], penalty: float = 3.0, **settings: Any
) -> dict[str, CellOrder]:
    made = cell_orders(PLAN, selection, files, settings=settings, penalty=penalty)
    return {order.cell.key: order for order in made}


def changed(before: dict[str, CellOrder], now: dict[str, CellOrder]) -> set[str]:
    assert before.keys() == now.keys()
    return {now[key].cell.method for key in now if now[key].digest != before[key].digest}


def test_only_what_a_method_samples_with_is_needed(selection: Selection) -> None:
    assert needed_concepts(selection, ("base",)) == {}
    assert needed_concepts(selection, ("single",)) == {("cat1",): (CAT,)}
    assert needed_concepts(selection, ("joint",)) == {("cat1", "pot1"): (CAT, POT)}
    assert needed_concepts(selection, ("ridge",)) == {("cat1",): (CAT,), ("pot1",): (POT,)}
    assert set(needed_concepts(selection, PLAN.methods)) == set(FILES)


def test_each_cell_is_sampled_with_the_files_of_its_method(
    selection: Selection, files: dict[Names, Path]
) -> None:
    expected = {
        ("single", "single"): "a",
        ("pair", "joint"): "ab",
        ("pair", "constrained"): "a b",
        ("pair", "ridge"): "a b",
        ("single", "base"): "",
        ("pair", "base"): "",
    }
    found = {
        (order.cell.section, order.cell.method): " ".join(file.stem for file in order.files)
        for order in orders(selection, files).values()
    }
    assert found == expected


def test_a_cell_is_ordered_anew_where_what_it_depends_on_has_changed(
    selection: Selection, files: dict[Names, Path]
) -> None:
    before = orders(selection, files, base="one")
    assert changed(before, orders(selection, files, base="one")) == set()
    assert changed(before, orders(selection, files, base="two")) == set(PLAN.methods)
    assert changed(before, orders(selection, files, penalty=1.0, base="one")) == {"ridge"}
    files["cat1", "pot1"].write_text("trained again")
    assert changed(before, orders(selection, files, base="one")) == {"joint"}


def test_a_file_that_teaches_something_else_is_refused(
    concept_file: Path, selection: Selection
) -> None:
    check_nouns(concept_file, (CAT,))
    with pytest.raises(ConfigError, match="teaches cat, the data set has wooden pot"):
        check_nouns(concept_file, (POT,))
    with pytest.raises(ConfigError, match="teaches cat, the data set has cat and wooden pot"):
        check_nouns(concept_file, (CAT, POT))
