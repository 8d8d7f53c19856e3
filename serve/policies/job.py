"""A request as the scheduler sees it, and how much is done at once."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Job", "Limits", "RowKey", "Size"]

Size = tuple[int, int]
"""(width, height) of a picture, pixels."""

RowKey = tuple[str, int]
"""A job and the number of one of its rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A request as the scheduler sees it: some pictures of one size, each a row of a batch.

    Attributes:
        key: Unique.
        client: Whose it is; clients get equal shares.
        size: One of the sizes of `Limits`.
        rows: Pictures, at least 1.
        steps: Of each picture, at least 1.
        deadline: When it must be done, seconds of the scheduler's clock, or None.
    """

    key: str
    client: str
    size: Size
    rows: int
    steps: int
    deadline: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much is done at once.

    Attributes:
        slots: Rows of one batch, for each size.
        backlog: Row-steps of the smallest size that may be admitted and not yet done.
        joins_per_turn: Jobs that may join between two ticks; what they cost delays the others.
        patience_s: When a job without a deadline counts as due, after its arrival.
        first_tick_s: What a tick is taken to last before one was measured.
    """

    slots: Mapping[Size, int]
    backlog: int
    joins_per_turn: int = 4
    patience_s: float = 60.0
    first_tick_s: float = 0.5
