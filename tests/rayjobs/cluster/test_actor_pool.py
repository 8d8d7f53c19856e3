"""Tests of `rayjobs.cluster.actor_pool`: the class that Ray Data calls, and all of it."""

import os
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from cdcore.errors import BaseModelError, ConfigError
from rayjobs.cluster import actor_pool as pool
from rayjobs.cluster.actor_pool import results


class Doubler:
    """Doubles numbers, and cannot stand some of them."""

    def __init__(self, task: dict[str, Any]) -> None:
        if task.get("broken"):
            raise BaseModelError("there is no such base")
        self._limit = task["limit"]

    def work(self, items: Sequence[int]) -> list[str]:
        for item in items:
            if item >= self._limit:
                raise ConfigError(f"{item} is too much, expected less than {self._limit}")
        return [f"{2 * item} {os.getpid()}" for item in items]


def batch(*items: int) -> dict[str, Any]:
    return {"item": [pickle.dumps(item) for item in items]}


def test_a_batch_has_a_line_for_each_item_and_no_error() -> None:
    done = pool._Called(Doubler, {"limit": 9})(batch(1, 4))
    assert [line.split()[0] for line in done["line"]] == ["2", "8"]
    assert list(done["error"]) == [b"", b""]


@pytest.mark.parametrize(
    ("task", "kind"), [({"limit": 2}, ConfigError), ({"broken": True}, BaseModelError)]
)
def test_a_user_s_error_is_carried_home_and_not_raised_among_the_actors(
    task: dict[str, Any], kind: type[Exception]
) -> None:
    done = pool._Called(Doubler, task)(batch(3))
    error = pickle.loads(done["error"][0])
    assert type(error) is kind
    assert str(error)


def test_a_defect_is_raised_as_it_is() -> None:
    with pytest.raises(TypeError):
        pool._Called(Doubler, {"limit": "nine"})(batch(3))


@pytest.mark.ray
def test_a_cluster_does_every_item_once_on_all_workers_and_brings_an_error_home() -> None:
    from rich.console import Console

    from raycluster.connection import connected
    from rayjobs.cluster.scaling import scaling

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        with connected():
            shared: dict[str, Any] = {"scaling": scaling(2, Console()), "at_once": 2}
            lines = list(results(range(24), Doubler, {"limit": 99}, **shared))
            assert sorted(int(line.split()[0]) for line in lines) == list(range(0, 48, 2))
            with pytest.raises(ConfigError, match="7 is too much"):
                list(results(range(8), Doubler, {"limit": 7}, **shared))
