"""Tests of `rayjobs.runs.follower`."""

import threading

from rayjobs.runs.follower import Follower

PATIENCE_S = 60.0


def test_it_calls_until_it_is_stopped_and_once_more() -> None:
    called, callers = threading.Event(), []

    def show() -> None:
        callers.append(threading.current_thread())
        called.set()

    follower = Follower(show, every_s=0.001)
    follower.start()
    assert called.wait(PATIENCE_S)
    follower.stop()
    count = len(callers)
    assert callers[-1] is threading.current_thread()
    assert threading.current_thread() not in callers[:-1]
    called.clear()
    assert not called.wait(0.02)
    assert len(callers) == count


def test_a_short_block_is_shown_once() -> None:
    callers: list[threading.Thread] = []
    follower = Follower(lambda: callers.append(threading.current_thread()), every_s=3600)
    follower.start()
    follower.stop()
    assert callers == [threading.current_thread()]
