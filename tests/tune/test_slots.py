import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError
from tune.slots import Slots, share_out

COUNTS = st.integers(1, 12)


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
            gpus=gpus, cpus=cpus, workers=workers, trials=trials, concurrent=concurrent
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


def test_two_cpus_train_two_trials_and_one_trial_gets_both() -> None:
    assert share_out(gpus=0, cpus=2, workers=1, trials=8, concurrent=None) == Slots(
        concurrent=2, workers=1, cpus=1, uses_gpu=False
    )
    assert share_out(gpus=0, cpus=2, workers=1, trials=1, concurrent=None).cpus == 2
    with pytest.raises(ConfigError, match="3 trials at a time with 1 workers each"):
        share_out(gpus=0, cpus=2, workers=1, trials=8, concurrent=3)
