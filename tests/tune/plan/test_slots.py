import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError
from rayjobs.cluster.capacity import Capacity
from tune.plan.slots import Slots, share_out

COUNTS = st.integers(1, 12)


NODES = st.lists(st.integers(0, 8), min_size=1, max_size=3).map(tuple)


def alone(*, gpus: int = 0, cpus: int = 0) -> dict[str, Capacity]:
    """A cluster of one node that nobody else uses."""
    everything = Capacity(gpus=(gpus,), cpus=(cpus,))
    return {"whole": everything, "free": everything}


@given(
    gpus=st.integers(0, 12),
    cpus=st.integers(1, 24),
    workers=COUNTS,
    trials=COUNTS,
    concurrent=st.none() | COUNTS,
)
def test_all_workers_that_run_at_once_fit_or_it_is_refused(
    gpus: int, cpus: int, workers: int, trials: int, concurrent: int | None
) -> None:
    units = gpus or cpus
    try:
        slots = share_out(
            **alone(gpus=gpus, cpus=cpus), workers=workers, trials=trials, concurrent=concurrent
        )
    except ConfigError:
        assert workers * (concurrent or 1) > units
        return
    assert 1 <= slots.concurrent <= trials
    assert slots.concurrent <= (concurrent or trials)
    assert slots.cpus >= 1
    taken = slots.concurrent * slots.workers * (1 if gpus else slots.cpus)
    assert taken <= units
    # Nothing that another worker of each trial could have had is left.
    assert gpus or units - taken < slots.concurrent * slots.workers


@given(cpus=NODES, taken=NODES, workers=COUNTS, trials=COUNTS)
def test_beside_others_trials_fit_into_what_is_left_or_ask_for_the_least(
    cpus: tuple[int, ...], taken: tuple[int, ...], workers: int, trials: int
) -> None:
    whole = Capacity(gpus=(0,), cpus=cpus)
    left = tuple(max(0, all_ - used) for all_, used in zip(cpus, taken, strict=False))
    free = Capacity(gpus=(0,), cpus=left)
    if sum(cpus) < workers:
        with pytest.raises(ConfigError, match="but the cluster has"):
            share_out(whole=whole, free=free, workers=workers, trials=trials, concurrent=None)
        return
    slots = share_out(whole=whole, free=free, workers=workers, trials=trials, concurrent=None)
    if sum(left) < workers:
        assert (slots.concurrent, slots.cpus) == (1, 1)
    else:
        assert sum(each // slots.cpus for each in left) >= slots.concurrent * workers


def test_two_cpus_train_two_trials_and_one_trial_gets_both() -> None:
    two = alone(cpus=2)
    assert share_out(**two, workers=1, trials=8, concurrent=None) == Slots(
        concurrent=2, workers=1, cpus=1, uses_gpu=False
    )
    assert share_out(**two, workers=1, trials=1, concurrent=None).cpus == 2
    with pytest.raises(ConfigError, match="3 trials at a time with 1 workers each"):
        share_out(**two, workers=1, trials=8, concurrent=3)
