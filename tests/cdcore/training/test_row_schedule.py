import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.training.config import TrainingConfig
from cdcore.training.row_schedule import RowDraw, rows_of_step, rows_of_worker, rows_per_worker
from tests.cdcore.training_case import CAT, config

SAMPLES = (6, 4)
TIMESTEPS = 1000


def draw(settings: TrainingConfig, step: int = 0) -> list[RowDraw]:
    samples = [SAMPLES] * len(settings.subjects)
    return rows_of_step(settings, step, samples=samples, timesteps=TIMESTEPS)


def joint(count: int, **changes: Any) -> TrainingConfig:
    subjects = tuple(replace(CAT, token=f"<my{number}>") for number in range(count))
    return config(subjects=subjects, **changes)


def test_the_seed_and_the_step_decide_the_rows() -> None:
    rows = draw(config(), 7)
    assert draw(config(), 7) == rows
    assert draw(config(), 8) != rows
    assert draw(config(seed=1), 7) != rows
    assert draw(config(steps=500), 7) == rows


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_a_step_holds_what_the_configuration_says(step: int, count: int, ratio: float) -> None:
    settings = config(rows_per_step=count + 2, regularization_ratio=ratio)
    rows = draw(settings, step)
    targets = [row for row in rows if row.is_target]
    assert [row.is_target for row in rows] == sorted((row.is_target for row in rows), reverse=True)
    assert len(rows) == settings.rows_per_step
    assert len(targets) == settings.target_rows
    assert all(0 <= row.sample < SAMPLES[not row.is_target] for row in rows)
    assert all(0 <= row.timestep < TIMESTEPS for row in rows)
    assert len({row.noise_seed for row in rows}) == len(rows)
    weight = settings.target_rows + settings.prior_weight * settings.regularization_rows
    assert sum(row.weight for row in rows) == pytest.approx(weight / settings.rows_per_step)


def test_without_regularization_there_are_only_target_rows() -> None:
    settings = config(regularization_ratio=0)
    rows = rows_of_step(settings, 0, samples=[(6, 0)], timesteps=TIMESTEPS)
    assert [row.is_target for row in rows] == [True] * 5


def test_the_reference_weighting_counts_targets_four_times() -> None:
    settings = config(prior_weighting="four_to_one", prior_weight=1.0)
    assert {(row.is_target, row.weight) for row in draw(settings)} == {(True, 0.8), (False, 0.2)}


@given(st.integers(0, 10**6))
def test_each_stratum_of_the_timesteps_has_one_row_of_a_kind(step: int) -> None:
    settings = config(rows_per_step=16)
    for is_target in (True, False):
        times = sorted(row.timestep for row in draw(settings, step) if row.is_target == is_target)
        gaps = [after - before for before, after in itertools.pairwise(times)]
        gaps.append(times[0] + TIMESTEPS - times[-1])
        assert len(times) == 8
        assert all(abs(gap - TIMESTEPS / 8) <= 1 for gap in gaps)


@given(st.integers(0, 10**6))
def test_the_timesteps_of_a_kind_rise_evenly_from_row_to_row_and_begin_again(step: int) -> None:
    rows = draw(config(rows_per_step=16), step)
    for is_target in (True, False):
        times = [row.timestep for row in rows if row.is_target == is_target]
        for before, after in itertools.pairwise(times):
            assert (after - before) % TIMESTEPS == pytest.approx(TIMESTEPS / 8, abs=1)


def test_as_many_rows_as_there_are_timesteps_see_every_one() -> None:
    settings = config(rows_per_step=16)
    for step in range(50):
        rows = rows_of_step(settings, step, samples=[SAMPLES], timesteps=8)
        for is_target in (True, False):
            times = sorted(row.timestep for row in rows if row.is_target == is_target)
            assert times == list(range(8))


@given(st.integers(1, 5), st.integers(2, 9), st.integers(0, 10**6))
def test_rows_are_dealt_in_turn_and_on_from_step_to_step(
    subjects: int, count: int, first: int
) -> None:
    settings = joint(subjects, rows_per_step=count)
    for is_target in (True, False):
        dealt = [
            row.subject
            for step in range(first, first + 3)
            for row in draw(settings, step)
            if row.is_target == is_target
        ]
        expected = itertools.islice(itertools.cycle(range(subjects)), dealt[0], None)
        assert dealt == list(itertools.islice(expected, len(dealt)))


def test_any_random_generator_takes_a_row_s_seed() -> None:
    seeds = [row.noise_seed for step in range(100) for row in draw(config(), step)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_over_many_steps_all_samples_and_timesteps_are_drawn_alike() -> None:
    rows = [row for step in range(2000) for row in draw(config(rows_per_step=2), step)]
    targets = [row for row in rows if row.is_target]
    for sample in range(SAMPLES[0]):
        share = sum(row.sample == sample for row in targets) / len(targets)
        assert share == pytest.approx(1 / SAMPLES[0], abs=0.03)
    for start in range(0, TIMESTEPS, 100):
        share = sum(start <= row.timestep < start + 100 for row in targets) / len(targets)
        assert share == pytest.approx(0.1, abs=0.025)


@given(
    st.lists(st.tuples(st.integers(1, 9999), st.integers(1, 9999)), min_size=1, max_size=7),
    st.integers(2, 24),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.4, 1.0]),
)
def test_whatever_the_picture_counts_subjects_have_equally_many_rows(
    samples: list[tuple[int, int]], count: int, first: int, ratio: float
) -> None:
    subjects = len(samples)
    settings = joint(subjects, rows_per_step=count, regularization_ratio=ratio)
    over_a_cycle: Counter[tuple[bool, int]] = Counter()
    for step in range(first, first + subjects):
        rows = rows_of_step(settings, step, samples=samples, timesteps=TIMESTEPS)
        for is_target in {row.is_target for row in rows}:
            dealt = Counter(row.subject for row in rows if row.is_target == is_target)
            counts = [dealt[subject] for subject in range(subjects)]
            assert max(counts) - min(counts) <= 1
        over_a_cycle.update((row.is_target, row.subject) for row in rows)
        assert all(row.sample < samples[row.subject][not row.is_target] for row in rows)
    for is_target, count in (
        (True, settings.target_rows),
        (False, settings.regularization_rows),
    ):
        assert all(over_a_cycle[is_target, subject] == count for subject in range(subjects))


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_more_subjects_change_nothing_but_whose_rows_they_are(step: int, subjects: int) -> None:
    alone = draw(config(rows_per_step=9), step)
    together = draw(joint(subjects, rows_per_step=9), step)
    assert [replace(row, subject=0) for row in together] == alone


@given(st.integers(1, 12), st.integers(0, 12))
def test_any_number_of_workers_sees_the_same_rows_and_weightless_padding(
    workers: int, more: int
) -> None:
    rows = draw(config(rows_per_step=workers + more, regularization_ratio=0.4))
    shares = [rows_of_worker(rows, worker, workers) for worker in range(workers)]
    together = [row for share in shares for row in share]
    padding = [row for row in together if row.is_padding]
    assert sorted(map(repr, rows)) == sorted(repr(row) for row in together if not row.is_padding)
    assert {len(share) for share in shares} == {rows_per_worker(len(rows), workers)}
    assert len(padding) == -len(rows) % workers
    assert all(row.weight == 0 for row in padding)
    assert all(replace(row, weight=1.0) != row for row in padding)
    for share in shares:
        kinds = [row.is_target for row in share]
        assert kinds == sorted(kinds, reverse=True)
