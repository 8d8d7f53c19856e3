"""A pool in this process, for what a driver decides: the real workers do the real work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ray.train import ScalingConfig


class Pool:
    """Stands for `rayjobs.cluster.actor_pool.results` and the cluster.

    Attributes:
        calls: The items of each call, by the name of the class that did them.
        lives: Calls of workers until the process is "killed"; None for ever.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from rayjobs.evaluation import driver as evaluate_driver

        self.calls: list[tuple[str, list[Any]]] = []
        self.lives: int | None = None
        monkeypatch.setattr(evaluate_driver, "results", self.results)
        monkeypatch.setattr(evaluate_driver, "connected", self.connected)
        monkeypatch.setattr(evaluate_driver, "check_shared", lambda folder, kind: None)
        monkeypatch.setattr(evaluate_driver, "tell_if_busy", lambda console, resources: None)
        monkeypatch.setattr(
            evaluate_driver,
            "scaling",
            lambda workers, console, **_: ScalingConfig(num_workers=workers),
        )

    @contextmanager
    def connected(self) -> Iterator[None]:
        yield

    def results(
        self, items: Sequence[Any], kind: Any, task: Any, *, scaling: Any, at_once: int = 1
    ) -> Iterator[str]:
        self.calls.append((kind.__name__, list(items)))
        worker = kind(task)
        for start in range(0, len(items), at_once):
            if self.lives is not None:
                self.lives -= 1
                if self.lives < 0:
                    raise KeyboardInterrupt
            yield from worker.work(items[start : start + at_once])
