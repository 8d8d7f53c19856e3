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
        key: The job's unique name.
        client: Whose job it is; clients get equal shares.
        size: One of the sizes of `Limits`.
        rows: How many pictures it asks for, at least 1.
        steps: How many steps each picture takes, at least 1.
        deadline: When the job must be done, seconds of the scheduler's clock, or None.
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
        slots: How many rows one batch of each size has.
        backlog: Row-steps of the smallest size that may be admitted and not yet done.
    """

    slots: Mapping[Size, int]
    backlog: int
