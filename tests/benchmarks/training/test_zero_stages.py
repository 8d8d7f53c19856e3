"""Tests of `benchmarks.training.zero_stages`."""

import pytest

from benchmarks.training.zero_stages import run_stages
from cdcore.errors import RunError


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_every_stage_of_the_job_comes_to_the_same_concept() -> None:
    figures = run_stages("tiny", (0, 2), steps=2, workers=1)
    assert set(figures["seconds"]) == {"0", "2"}
    # One worker: the stages differ in where moments are kept, not in arithmetic.
    assert figures["largest_difference"] < 1e-3


def test_a_job_that_fails_is_reported_in_one_line() -> None:
    with pytest.raises(RunError, match=r"train\.py failed: error: workers is 0"):
        run_stages("tiny", (0,), steps=1, workers=0)
