"""Tests of `cdcore.pocket.examination.report`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cdcore.model.loading import load_base
from cdcore.pocket.examination.exam import draw_exam, is_pair, is_single
from cdcore.pocket.examination.report import (
    RETRIEVAL_CHOICES,
    Extent,
    Report,
    make_report,
    pair_scores,
    retrieval_top1,
    single_scores,
)
from cdcore.pocket.networks.judge import Judge, SceneLogits, label_scenes
from cdcore.pocket.networks.towers import Towers
from cdcore.pocket.scenes.scene import COLORS, KINDS, PLACES, Scene

TINY = Extent(singles=3, pairs=2, retrievals=RETRIEVAL_CHOICES)
SOURCES = {"generated", "reconstructed", "real"}


def perfect(scenes: tuple[Scene, ...]) -> SceneLogits:
    """What a judge would say that is always right, and never sure of absent things' colours."""
    labels = label_scenes(list(scenes))
    colors = torch.nn.functional.one_hot(labels.colors.clamp(min=0), len(COLORS)).float()
    places = torch.nn.functional.one_hot(labels.places, len(PLACES)).float()
    return SceneLogits(kinds=labels.kinds - 0.5, colors=colors, places=places)


def spoiled(values: Tensor, rows: int) -> Tensor:
    """The first rows say the next class over."""
    return torch.cat([values[:rows].roll(1, dims=-1), values[rows:]])


def test_a_base_that_draws_what_is_asked_gets_full_marks() -> None:
    singles = draw_exam(20, is_single).scenes
    pairs = draw_exam(20, is_pair).scenes
    assert single_scores(perfect(singles), singles) == {"kind": 1, "place": 1, "color": 1}
    marks = {"both kinds": 1, "both kinds and colors": 1, "place": 1}
    assert pair_scores(perfect(pairs), pairs) == marks


def test_each_question_about_one_thing_is_marked_by_itself() -> None:
    scenes = draw_exam(20, is_single).scenes
    right = perfect(scenes)
    for question, change in (
        ("kind", {"kinds": spoiled(right.kinds, 5)}),
        ("place", {"places": spoiled(right.places, 5)}),
        ("color", {"colors": spoiled(right.colors, 5)}),
    ):
        scores = single_scores(replace(right, **change), scenes)
        assert scores == {"kind": 1, "place": 1, "color": 1} | {question: 0.75}


def test_a_pair_counts_only_with_both_kinds_and_colours_only_with_them() -> None:
    scenes = draw_exam(20, is_pair).scenes
    right = perfect(scenes)
    one_missing = right.kinds.clone()
    for row, scene in enumerate(scenes[:5]):
        one_missing[row, KINDS.index(scene.things[0].kind)] = -2
    # With one kind gone some third one is named in its place, by chance never the missing.
    scores = pair_scores(replace(right, kinds=one_missing), scenes)
    assert scores == {"both kinds": 0.75, "both kinds and colors": 0.75, "place": 1}
    scores = pair_scores(replace(right, colors=spoiled(right.colors, 5)), scenes)
    assert scores == {"both kinds": 1, "both kinds and colors": 0.75, "place": 1}


def test_retrieval_counts_pictures_whose_own_caption_is_nearest_in_their_group() -> None:
    rows = torch.eye(RETRIEVAL_CHOICES)
    pictures, texts = torch.cat([rows, rows]), torch.cat([rows, rows])
    assert retrieval_top1(pictures, texts) == 1
    swapped = texts.clone()
    swapped[:2] = texts[[1, 0]]
    assert retrieval_top1(pictures, swapped) == pytest.approx(1 - 2 / len(pictures))
    assert retrieval_top1(pictures, texts.roll(1, dims=0)) == 0


@pytest.fixture(scope="module")
def report(untrained_folder: Path) -> Report:
    base = load_base(str(untrained_folder))
    judge = Judge.load(untrained_folder / "judge")
    done: list[tuple[int, int]] = []
    made = make_report(
        base,
        Towers.load(untrained_folder),
        judge,
        TINY,
        on_step=lambda *steps: done.append(steps),
    )
    assert done[-1][0] == done[-1][1]
    return made


def test_a_report_has_a_share_for_each_question_and_source(report: Report) -> None:
    assert report.scores.keys() == {"one thing", "two things"}
    for by_source in report.scores.values():
        assert by_source.keys() == SOURCES
        assert len({tuple(scores) for scores in by_source.values()}) == 1
        assert all(0 <= share <= 1 for scores in by_source.values() for share in scores.values())
    assert report.retrieval.keys() == {"base", "judge"}
    assert all(share < 0.5 for share in report.retrieval.values()), "nothing is trained"


def test_a_report_survives_json(report: Report) -> None:
    stored = json.loads(json.dumps(report.as_json()))
    assert stored["extent"] == {"singles": 3, "pairs": 2, "retrievals": RETRIEVAL_CHOICES}
    assert stored["scores"]["one thing"]["real"] == report.scores["one thing"]["real"]


def test_the_page_shows_every_figure_beside_its_aim(report: Report) -> None:
    known = replace(
        report,
        scores={
            things: {
                source: dict.fromkeys(scores, share)
                for share, (source, scores) in zip((0.5, 0.75, 1.0), by_source.items(), strict=True)
            }
            for things, by_source in report.scores.items()
        },
        retrieval={"base": 0.25, "judge": 1.0},
    )
    page = known.markdown()
    assert "| one thing: kind | 95.0 % | 50.0 % | 75.0 % | 100.0 % |" in page
    assert "| two things: both kinds and colors |  | 50.0 % | 75.0 % | 100.0 % |" in page
    assert "| retrieval, top 1 of 64 | 95.0 % | 25.0 % | 100.0 % |" in page
    assert "3 captions of one thing, 2 of two" in page
    tables = [line.count("|") for line in page.splitlines() if line.startswith("|")]
    assert set(tables) == {6, 5}
