"""Metrics that keep their values, in place of Prometheus's."""

from collections import Counter

__all__ = ["Metrics"]


class Metrics:
    """All metrics that were made, and their values."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.values: Counter[str] = Counter()

    def counter(self, name: str) -> "_Counter":
        assert name not in self.kinds
        self.kinds[name] = "counter"
        return _Counter(self, name)

    def gauge(self, name: str) -> "_Gauge":
        assert name not in self.kinds
        self.kinds[name] = "gauge"
        return _Gauge(self, name)


class _Counter:
    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics, self._name = metrics, name

    def inc(self, value: float) -> None:
        assert value > 0
        self._metrics.values[self._name] += value  # type: ignore[assignment]


class _Gauge:
    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics, self._name = metrics, name

    def set(self, value: float) -> None:
        self._metrics.values[self._name] = value  # type: ignore[assignment]
