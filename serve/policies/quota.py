"""How much each owner may ask for: a bucket of row-steps that fills evenly. Plain Python."""

import threading
from dataclasses import dataclass

from cdcore.errors import ConfigError, OverloadedError

__all__ = ["Quotas"]

_PERIOD_S = 60.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Quotas:
    """Buckets by owner, each of a minute's allowance; for several threads."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def take(self, owner: str, cost: int, per_minute: int | None, now: float) -> None:
        """Charge an owner, or refuse and charge nothing.

        Args:
            owner: Who asks.
            cost: How many row-steps are asked for.
            per_minute: The owner's allowance of row-steps; None is no limit.
            now: The time, seconds of one clock.

        Raises:
            ConfigError: The cost is more than a minute's allowance.
            OverloadedError: The cost is more than what is left; says when there will be enough.
        """
        if per_minute is None:
            return
        if cost > per_minute:
            raise ConfigError(
                f"this asks for {cost} steps of pictures, this key has {per_minute} per minute; "
                "ask for fewer pictures or steps"
            )
        rate = per_minute / _PERIOD_S
        with self._lock:
            bucket = self._buckets.setdefault(owner, _Bucket(float(per_minute), now))
            bucket.left = min(per_minute, bucket.left + rate * max(0.0, now - bucket.at))
            bucket.at = now
            missing = cost - bucket.left
            if missing > 0:
                raise OverloadedError(
                    f"this key's {per_minute} steps per minute are used up; come again later",
                    max(1.0, missing / rate),
                )
            bucket.left -= cost

    def give_back(self, owner: str, cost: int, per_minute: int | None) -> None:
        """Undo a charge for what was not accepted."""
        with self._lock:
            bucket = self._buckets.get(owner)
            if bucket is not None and per_minute is not None:
                bucket.left = min(float(per_minute), bucket.left + cost)
