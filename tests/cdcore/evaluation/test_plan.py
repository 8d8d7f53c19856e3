from collections import Counter
from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import ConceptSet, SetConcept, SetEntry
from cdcore.evaluation.methods import METHODS
from cdcore.evaluation.plan import EvaluationPlan, Selection, select

PLAN = EvaluationPlan(
    methods=("single", "ridge", "masked"), pictures=3, drift_pictures=2, kid_pictures=0, seed=10
)


def concept(name: str, folder: Path = Path("none")) -> SetConcept:
    return SetConcept(name=name, class_noun=name[:3], images=folder, class_folder=folder / name)


def small(folder: Path = Path("none")) -> ConceptSet:
    made = {name: concept(name, folder) for name in ("cat1", "dog1", "pot1", "pot2")}
    return ConceptSet(
        singles=tuple(
            SetEntry(concepts=(one,), prompts=("a {0}", "a {0} at night")) for one in made.values()
        ),
        pairs=(
            SetEntry(concepts=(made["pot2"], made["dog1"]), prompts=("a {0} and a {1}",) * 3),
            SetEntry(concepts=(made["cat1"], made["pot1"]), prompts=("a {1} on a {0}",)),
        ),
        notes=(),
    )


def all_of(made: ConceptSet) -> Selection:
    return select(made, sections=("single", "pair"), limit=None, prompts=None)


def test_every_method_samples_every_prompt_with_the_same_seeds() -> None:
    cells = [cell for cell in PLAN.cells(all_of(small())) if cell.part == "prompts"]
    by_method = {
        method: [
            (c.section, c.entry, c.number, c.texts, c.seeds) for c in cells if c.method == method
        ]
        for method in ("base", "single", "ridge", "masked")
    }
    assert by_method["base"] == by_method["single"] + by_method["ridge"]
    assert by_method["ridge"] == by_method["masked"]
    assert len(by_method["single"]) == 4 * 2
    assert len(by_method["ridge"]) == 3 + 1
    assert {cell.method for cell in cells} == set(by_method), "no method that was not asked for"


def test_seeds_of_an_entry_never_repeat_among_its_prompts() -> None:
    cells = PLAN.cells(all_of(small()))
    own = [c for c in cells if (c.entry, c.method, c.part) == ("cat1", "single", "prompts")]
    assert [cell.seeds for cell in own] == [(10, 11, 12), (13, 14, 15)]
    assert len({cell.key for cell in cells}) == len(cells)


def test_drift_has_the_first_of_the_base_s_own_prompts_and_seeds() -> None:
    cells = PLAN.cells(all_of(small()))
    plain = [cell for cell in cells if cell.part == "plain"]
    assert Counter(cell.method for cell in plain) == {"single": 8, "ridge": 4, "masked": 4}
    base = {(c.section, c.entry, c.number): c for c in cells if c.method == "base"}
    for cell in plain:
        before = base[cell.section, cell.entry, cell.number]
        assert cell.plain_texts == before.plain_texts[:2]
        assert cell.seeds == before.seeds[:2]


def test_kid_takes_captions_in_turn_and_only_where_there_are_real_pictures(tmp_path: Path) -> None:
    (tmp_path / "cat1" / "images").mkdir(parents=True)
    (tmp_path / "cat1" / "caption.txt").write_text("a cat\na red cat\nan old cat\n")
    (tmp_path / "pot1").mkdir()
    plan = EvaluationPlan(
        methods=("single",), pictures=1, drift_pictures=0, kid_pictures=25, seed=0
    )
    cells = [cell for cell in plan.cells(all_of(small(tmp_path))) if cell.part == "captions"]
    assert {(cell.entry, cell.method) for cell in cells} == {
        (entry, method) for entry in ("cat1", "pot1") for method in ("base", "single")
    }
    own = [cell for cell in cells if (cell.entry, cell.method) == ("cat1", "single")]
    texts = [text for cell in own for text in cell.texts]
    assert texts == (["a cat", "a red cat", "an old cat"] * 9)[:25]
    assert len({seed for cell in own for seed in cell.seeds}) == 25
    uncaptioned = next(cell for cell in cells if cell.entry == "pot1")
    assert set(uncaptioned.plain_texts) == {"photo of a pot"}


def test_a_limit_takes_the_concepts_of_its_pairs_first() -> None:
    chosen = select(small(), sections=("single", "pair"), limit=3, prompts=1)
    assert [entry.name for entry in chosen.pairs] == ["pot2+dog1"]
    assert [entry.name for entry in chosen.singles] == ["dog1", "pot2", "cat1"]
    assert {len(entry.prompts) for entry in (*chosen.singles, *chosen.pairs)} == {1}
    assert [one.name for one in chosen.concepts] == ["dog1", "pot2", "cat1"]


def test_sections_that_are_not_asked_for_are_left_out() -> None:
    chosen = select(small(), sections=("pair",), limit=None, prompts=None)
    assert chosen.singles == ()
    assert {one.name for one in chosen.concepts} == {"cat1", "dog1", "pot1", "pot2"}


def test_the_base_is_always_among_the_methods() -> None:
    none = EvaluationPlan(methods=(), pictures=1, drift_pictures=0, kid_pictures=0, seed=0)
    assert all(none.of_section(section) == ("base",) for section in METHODS)


@pytest.mark.parametrize(
    "change", [{"pictures": 0}, {"drift_pictures": 4}, {"kid_pictures": 1}, {"kid_pictures": -1}]
)
def test_numbers_that_give_no_figures_are_refused(change: dict[str, int]) -> None:
    settings = {"pictures": 3, "drift_pictures": 0, "kid_pictures": 0} | change
    with pytest.raises(ConfigError, match=next(iter(change))):
        EvaluationPlan(methods=(), seed=0, **settings)
