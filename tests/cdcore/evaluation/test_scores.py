from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdcore.evaluation.cell import Cell
from cdcore.evaluation.embeddings import CellRows
from cdcore.evaluation.methods import Part
from cdcore.evaluation.scores import EntryScores, entry_scores, method_scores


def unit(count: int, seed: int, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, width, generator=generator), dim=-1)


def cell(part: Part, number: int, method: str = "ridge") -> Cell:
    return Cell(
        section="pair",
        entry="a+b",
        method=method,  # type: ignore[arg-type]
        part=part,
        number=number,
        nouns=("cat", "dog"),
        texts=("{0} and {1}",) * 3,
        seeds=(0, 1, 2),
    )


def rows(count: int, seed: int, present: list[int] | None = None) -> CellRows:
    return CellRows(
        clip=unit(count, seed),
        dino=unit(count, seed + 100, width=4),
        text=unit(count, seed + 200),
        present=None if present is None else torch.tensor(present, dtype=torch.float32),
    )


RESULTS = {
    cell("prompts", 0): rows(3, 0, [1, 0, 1]),
    cell("plain", 0): rows(2, 1),
    cell("prompts", 1): rows(3, 2, [0, 0, 1]),
    cell("plain", 1): rows(2, 3),
    cell("captions", 0): rows(8, 4),
    cell("captions", 1): rows(4, 5),
}
BASE = {cell("prompts", n, "base"): rows(3, 10 + n) for n in (1, 0)}
TARGETS = (rows(2, 20), rows(5, 21))
REAL = rows(12, 30)


@pytest.fixture
def scores() -> EntryScores:
    return entry_scores(RESULTS, BASE, TARGETS, REAL)


def cosine(a: Tensor, b: Tensor) -> float:
    x, y = a.double().numpy(), b.double().numpy()
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def test_text_is_scored_picture_by_picture_with_its_own_text(scores: EntryScores) -> None:
    shown = [RESULTS[cell("prompts", n)] for n in (0, 1)]
    cosines = [
        cosine(picture, text)
        for one in shown
        for picture, text in zip(one.clip, one.text if one.text is not None else (), strict=True)
    ]
    assert scores.pictures == 6
    assert scores.text_cosine == pytest.approx(sum(cosines) / 6, abs=1e-6)
    expected = sum(2.5 * max(value, 0) for value in cosines) / 6
    assert scores.clip_score == pytest.approx(expected, abs=1e-6)


def test_images_are_compared_with_every_target_of_each_folder_apart(scores: EntryScores) -> None:
    shown = [RESULTS[cell("prompts", n)] for n in (0, 1)]
    for name in ("clip", "dino"):
        for folder, target in enumerate(TARGETS):
            pairs = [
                cosine(p, t)
                for one in shown
                for p in getattr(one, name)
                for t in getattr(target, name)
            ]
            found = getattr(scores, f"image_{name}")[folder]
            assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_drift_compares_with_the_base_s_picture_of_the_same_prompt_and_seed(
    scores: EntryScores,
) -> None:
    apart = [
        1 - cosine(before, after)
        for number in (0, 1)
        for before, after in zip(
            BASE[cell("prompts", number, "base")].clip[:2],
            RESULTS[cell("plain", number)].clip,
            strict=True,
        )
    ]
    assert scores.drift == pytest.approx(sum(apart) / 4, abs=1e-6)


def test_kid_is_of_all_captions_and_the_real_pictures_by_its_definition(
    scores: EntryScores,
) -> None:
    generated = torch.cat([RESULTS[cell("captions", n)].clip for n in (0, 1)]).double().numpy()
    real = REAL.clip.double().numpy()

    def mean_within(x: np.ndarray) -> float:
        kernel = (x @ x.T + 1) ** 3
        return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))

    across = float(((real @ generated.T + 1) ** 3).mean())
    expected = mean_within(real) + mean_within(generated) - 2 * across
    assert scores.kid == pytest.approx(expected, rel=1e-4)


def test_both_are_present_in_the_share_of_pictures_that_the_judge_says(scores: EntryScores) -> None:
    assert scores.present == pytest.approx(3 / 6)


def test_what_nobody_has_measured_is_left_out() -> None:
    shown = {cell("prompts", 0): rows(3, 0)}
    scores = entry_scores(shown, {}, TARGETS, None)
    assert (scores.drift, scores.kid, scores.present) == (None, None, None)


def test_a_method_s_figures_are_means_over_entries_each_counting_once(scores: EntryScores) -> None:
    other = replace(
        scores, entry="c+d", pictures=600, image_clip=(0.1, 0.3), kid=None, drift=0.5, present=1.0
    )
    base = replace(scores, method="base", drift=None)
    means = method_scores([base, scores, other])
    assert [(one.method, one.entries) for one in means] == [("base", 1), ("ridge", 2)]
    ridge = means[1]
    assert ridge.image_clip == pytest.approx((sum(scores.image_clip) / 2 + 0.2) / 2)
    assert scores.drift is not None
    assert ridge.drift == pytest.approx((scores.drift + 0.5) / 2)
    assert ridge.present == pytest.approx(0.75)
    assert ridge.kid == scores.kid
    assert means[0].drift is None
    # The standard error of two values is half their distance.
    assert ridge.errors["drift"] == pytest.approx(abs(scores.drift - 0.5) / 2)
    assert "kid" not in ridge.errors, "one value has no spread"
    assert means[0].errors == {}
    assert ridge.figures["section"] == "pair"
