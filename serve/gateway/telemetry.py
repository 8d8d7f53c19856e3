"""An engine's figures as metrics: what only grows as counters, the rest as gauges.

The kinds of metrics are given from outside: in a replica they are Ray's, which Prometheus reads.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

__all__ = ["PREFIX", "CounterLike", "GaugeLike", "Telemetry", "grows"]

_log = logging.getLogger(__name__)

PREFIX = "customdiffusion_"
_GROWING = (
    *("ticks", "tick_seconds", "rows", "blends", "pictures", "turns", "cancelled_steps"),
    *("offered", "refused", "done", "failed", "cancelled"),
    *("prompts_hit", "prompts_miss"),
)
_GROWING_PREFIX = "concepts_from_"


def grows(name: str) -> bool:
    """Whether the figure of that name is published as a counter."""
    return name in _GROWING or name.startswith(_GROWING_PREFIX)


class CounterLike(Protocol):
    """A metric that grows."""

    def inc(self, value: float) -> None:
        """Add to the count."""


class GaugeLike(Protocol):
    """A metric that is set."""

    def set(self, value: float) -> None:
        """Take a new value."""


class Telemetry:
    """Publishes the figures of one engine; `start` it, and `close` it at the end."""

    def __init__(
        self,
        figures: Callable[[], Mapping[str, float]],
        counter: Callable[[str], CounterLike],
        gauge: Callable[[str], GaugeLike],
        *,
        every_s: float = 5.0,
    ) -> None:
        """Publish nothing yet.

        Args:
            figures: Reads the engine's figures.
            counter: Makes a counter that has a name.
            gauge: Makes a gauge that has a name.
            every_s: Time between two looks, seconds.
        """
        self._figures = figures
        self._counter = counter
        self._gauge = gauge
        self._every_s = every_s
        self._counters: dict[str, CounterLike] = {}
        self._gauges: dict[str, GaugeLike] = {}
        self._before: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def close(self) -> None:
        """Publish once more and stop."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def publish(self) -> None:
        """Publish the figures of this moment."""
        for name, value in self._figures().items():
            full = PREFIX + name
            if grows(name):
                if name not in self._counters:
                    self._counters[name] = self._counter(full)
                growth = value - self._before.get(name, 0)
                if growth > 0:
                    self._counters[name].inc(growth)
                self._before[name] = value
            else:
                if name not in self._gauges:
                    self._gauges[name] = self._gauge(full)
                self._gauges[name].set(value)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._stopped.wait(self._every_s)
            try:
                self.publish()
            except Exception:
                _log.exception("figures could not be published")
