"""Tests of `rayjobs.runs.verdict`."""

import threading
import time
from pathlib import Path

import pytest

from cdcore.errors import RunError
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.runs.verdict import allow, await_verdict

SESSION = "first"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory(tmp_path / "mycat")
    made.path.mkdir()
    made.claim(SESSION)
    return made


def waits(run: RunDirectory, step: int) -> None:
    await_verdict(run, step, session=SESSION, patience_s=60)


def test_a_run_goes_on_after_a_step_that_is_allowed_or_earlier(run: RunDirectory) -> None:
    allow(run, 200)
    waits(run, 200)
    waits(run, 100)


def test_a_run_waits_however_long_the_search_takes_to_allow_it(run: RunDirectory) -> None:
    allow(run, 100)
    went_on = threading.Event()

    def go_on() -> None:
        waits(run, 200)
        went_on.set()

    thread = threading.Thread(target=go_on)
    thread.start()
    assert not went_on.wait(0.5), "the verdict on an earlier score is none on this one"
    allow(run, 200)
    thread.join(60)
    assert went_on.is_set()


def test_a_run_that_is_ended_while_it_waits_does_not_go_on(run: RunDirectory) -> None:
    timer = threading.Timer(0.2, run.claim, ("stopped",))
    timer.start()
    with pytest.raises(RunError, match="started again"):
        waits(run, 200)
    timer.join()


def test_an_end_counts_more_than_an_allowance(run: RunDirectory) -> None:
    allow(run, 200)
    run.claim("stopped")
    with pytest.raises(RunError, match="started again"):
        waits(run, 200)


def test_a_run_that_nobody_decides_about_goes_on_in_the_end(run: RunDirectory) -> None:
    started = time.monotonic()
    await_verdict(run, 200, session=SESSION, patience_s=0.2)
    assert time.monotonic() - started >= 0.2
