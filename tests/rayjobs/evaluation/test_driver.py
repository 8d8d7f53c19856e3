import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from cdcore.model.base import Base
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.evaluation import driver as evaluate_driver
from rayjobs.evaluation.driver import evaluate
from tests.cdcore.concept_case import write_concept
from tests.rayjobs.evaluate_case import job
from tests.rayjobs.in_process import Pool

METHODS = ("base", "single", "joint", "ridge")
NAMES = {"cat": "pet_cat1", "wooden pot": "decoritems_woodenpot1"}


@pytest.fixture(scope="module")
def plain(
    tiny_base: Base, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> EvaluateJob:
    """Of concepts that are there already, but for one of them; teaching takes long."""
    folder = tmp_path_factory.mktemp("evaluate")
    own = folder / "own"
    own.mkdir()
    for seed, nouns in enumerate((("cat",), ("cat", "wooden pot"))):
        name = "+".join(NAMES[noun] for noun in nouns)
        tokens = [f"<t{number}>" for number in range(len(nouns))]
        write_concept(tiny_base, own, *nouns, name=name, tokens=tokens, seed=seed)
    return job(folder, tiny_folder, methods=METHODS, prompts=1, pictures=1, concepts=own)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(monkeypatch)


def figures(made: EvaluateJob) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made.output / "evaluation.json").read_text())
    return found


def keys(pool: Pool) -> list[str]:
    return [order.cell.key for name, items in pool.calls if name == "CellWorker" for order in items]


def test_an_evaluation_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    plain: EvaluateJob, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A call of a worker is then one cell.
    monkeypatch.setattr(evaluate_driver, "_PICTURES_AT_ONCE", 1)
    few: dict[str, Any] = {"sections": ("single",), "methods": ("single",), "limit": 1}
    whole = replace(plain, output=tmp_path / "whole", kid_pictures=0, **few)
    evaluate(whole)
    done = keys(pool)
    assert len(done) == 3
    assert "KID" not in figures(whole)["made_with"], "none was computed"
    killed = replace(whole, output=tmp_path / "killed")
    pool.calls, pool.lives = [], 2
    with pytest.raises(KeyboardInterrupt):
        evaluate(killed)
    assert len(list((killed.output / "cells").rglob("*.safetensors"))) == 2
    pool.calls, pool.lives = [], None
    evaluate(killed)
    assert keys(pool) == done[2:], "what was done is not done again"
    assert figures(killed)["methods"] == figures(whole)["methods"]


def test_all_of_a_table_is_measured_and_a_second_run_does_nothing(
    plain: EvaluateJob, pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = replace(plain, output=tmp_path / "fresh")
    result = evaluate(fresh)
    lines = {(one["section"], one["method"]): one for one in figures(fresh)["methods"]}
    assert list(lines) == [
        ("single", "base"),
        ("single", "single"),
        ("pair", "base"),
        ("pair", "joint"),
        ("pair", "ridge"),
    ]
    assert lines["single", "single"]["entries"] == 2
    for (section, method), one in lines.items():
        assert one["clip_score"] >= 0
        assert (one["drift"] is None) == (method == "base")
        assert (one["present"] is None) == (section == "single")
        assert (one["kid"] is None) == (section == "pair")
    assert "KID" in figures(fresh)["made_with"]
    assert all(Path(file).is_file() for file in result["files"])
    taught = [items for name, items in pool.calls if name == "ConceptTrainer"]
    assert [training.config.name for training in taught[0]] == ["decoritems_woodenpot1"]
    capsys.readouterr()
    before = figures(fresh)
    pool.calls = []
    evaluate(fresh)
    assert pool.calls == []
    assert figures(fresh) == before
    assert "0 pictures to sample" in capsys.readouterr().out


def test_other_settings_are_sampled_anew_and_what_they_leave_alone_is_kept(
    plain: EvaluateJob, pool: Pool
) -> None:
    evaluate(plain)
    pool.calls = []
    evaluate(replace(plain, penalty=2 * plain.penalty))
    assert keys(pool), "another penalty is another ridge"
    assert all("/ridge/" in key for key in keys(pool))
    pool.calls = []
    evaluate(replace(plain, penalty=2 * plain.penalty, prompts=2))
    assert keys(pool)
    assert all("-001" in key for key in keys(pool)), "only the second prompt is new"


def test_a_user_s_concept_of_another_thing_is_refused(
    plain: EvaluateJob, pool: Pool, tmp_path: Path, other_concept_file: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "pet_cat1.safetensors").write_bytes(other_concept_file.read_bytes())
    given = replace(plain, concepts=tmp_path / "own", methods=("single",))
    with pytest.raises(ConfigError, match="teaches wooden pot, the data set has cat"):
        evaluate(given)
    assert pool.calls == []


def test_prompts_that_are_longer_than_the_base_reads_are_told(
    plain: EvaluateJob, pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(plain.dataset, tmp_path / "set")
    for entry in json.loads((tmp_path / "set" / "dataset.json").read_text()):
        file = tmp_path / "set" / entry["prompt_filename"]
        file.write_text(f"{'a red cat on the grass ' * 7}near a {{}}\n")
    few: dict[str, Any] = {"sections": ("single",), "methods": ("single",), "limit": 1}
    evaluate(
        replace(plain, dataset=tmp_path / "set", output=tmp_path / "out", kid_pictures=0, **few)
    )
    out = capsys.readouterr().out
    notes = [line for line in out.splitlines() if "is cut off" in line]
    assert len(notes) == 2
    assert sum("and with it <pet_cat1>" in note for note in notes) == 1
