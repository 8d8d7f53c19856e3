import warnings
from typing import Any

import pytest
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from tests.tune.plan.test_job import sweep
from tune.plan.goal import VALUE
from tune.plan.search_space import parse_space
from tune.running.searcher import domains, scheduler_of, score_every, searcher_of

SPACE = ("learning_rate=log:1e-4..1e-2", "steps=3..5", "prior_weight=0.5,1", "augment=true,false")


def asked(job: Any, count: int, known: list[Any] | None = None) -> list[dict[str, Any]]:
    """What Optuna asks for when every trial is worth as much as the one before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = searcher_of(job, known or [], 1)
        points = []
        for number in range(count):
            points.append(found.suggest(str(number)))
            value = {VALUE: 0.5, "image_alignment": 0.5, "text_alignment": 0.5, "prior_drift": 0.1}
            found.on_trial_complete(str(number), value)
    return points


def test_every_domain_draws_within_its_ends_and_reaches_them() -> None:
    drawn: dict[str, set[Any]] = {}
    for name, domain in domains(parse_space(SPACE)).items():
        drawn[name] = {domain.sample() for _ in range(300)}
    assert drawn["steps"] == {3, 4, 5}
    assert drawn["prior_weight"] == {0.5, 1.0}
    assert drawn["augment"] == {True, False}
    assert min(drawn["learning_rate"]) >= 1e-4
    assert max(drawn["learning_rate"]) <= 1e-2
    assert 0.3 < sum(value < 1e-3 for value in drawn["learning_rate"]) / 300 < 0.7


def test_whole_numbers_are_searched_by_their_logarithm_up_to_the_end() -> None:
    (domain,) = domains(parse_space(["steps=log:1..100"])).values()
    drawn = [domain.sample() for _ in range(2000)]
    assert set(drawn) <= set(range(1, 101))
    assert max(drawn) > 90
    assert 0.4 < sum(value <= 10 for value in drawn) / 2000 < 0.6


@pytest.mark.parametrize("method", ["optuna", "optuna-pareto"])
def test_optuna_that_goes_on_asks_for_what_was_begun_and_then_for_something_new(
    method: Any,
) -> None:
    job = sweep(search=SPACE, method=method, search_seed=3)
    first = asked(job, 4)
    assert first == asked(job, 4)
    again = asked(job, 6, known=first)
    assert again[:4] == first
    assert all(point not in first for point in again[4:])
    assert len({point["learning_rate"] for point in again}) == 6


@pytest.mark.parametrize("method", ["random", "grid"])
def test_random_and_grid_search_that_go_on_ask_for_the_same_trials_again(method: Any) -> None:
    search = SPACE[2:] if method == "grid" else SPACE
    space = parse_space(search)
    job = sweep(search=search, method=method, search_seed=3)

    def asked_of_tune() -> list[dict[str, Any]]:
        found: Any = searcher_of(job, [], 4)
        is_grid = method == "grid"
        experiment = {
            "run": lambda config: None,
            "config": domains(space, is_grid=is_grid),
            "num_samples": 1 if is_grid else 4,
        }
        found.add_configurations({"sweep": experiment})
        return [found.next_trial().config for _ in range(4)]

    first = asked_of_tune()
    assert len({str(settings) for settings in first}) == 4
    assert asked_of_tune() == first


def test_trials_are_stopped_only_where_they_are_scored_before_their_end() -> None:
    assert score_every(sweep(), 60) == 15
    assert score_every(sweep(), 3) == 1
    assert score_every(sweep(score_every=7), 60) == 7
    assert isinstance(scheduler_of(sweep(score_every=60), 60), FIFOScheduler)
    assert isinstance(scheduler_of(sweep(early_stopping=False), 60), FIFOScheduler)
    assert isinstance(scheduler_of(sweep(), 60), ASHAScheduler)
