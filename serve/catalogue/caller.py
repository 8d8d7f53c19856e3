"""Who asks, and which concepts are theirs.

A concept has an owner, or none: then it is everybody's to use, as what training publishes is, and
only an administrator's to change. To others an owned concept does not exist.
"""

from dataclasses import dataclass

__all__ = ["ANYONE", "Caller"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Whoever a key stands for.

    Attributes:
        owner: The owner that the caller's concepts have; empty where keys are not asked for.
        is_admin: Whether every concept is theirs.
        row_steps_per_minute: How many pictures times steps they may ask for, or None for no limit.
        max_concepts: How many concepts they may keep, or None for no limit.
    """

    owner: str
    is_admin: bool = False
    row_steps_per_minute: int | None = None
    max_concepts: int | None = None

    def may_see(self, owner: str | None) -> bool:
        """Whether a concept of an owner exists for this caller."""
        return owner is None or self.may_change(owner)

    def may_change(self, owner: str | None) -> bool:
        """Whether a concept of an owner may be replaced or deleted by this caller."""
        return self.is_admin or (owner is not None and owner == self.owner)


ANYONE = Caller(owner="", is_admin=True)
"""Whoever reaches a service without keys, which answers on the machine's own addresses only."""
