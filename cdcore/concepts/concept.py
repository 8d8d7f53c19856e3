"""A concept: an update, the rows of its modifier tokens, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from torch import Tensor

from cdcore.concepts.subject import Subject
from cdcore.errors import BaseMismatchError, UpdateShapeError
from cdcore.model.base import Base
from cdcore.model.update import Update

__all__ = ["Concept"]


_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


@cache
def _versions() -> Mapping[str, str]:
    """Return the versions of the libraries; reading them takes longer than a merge."""
    return {library: version(library) for library in _LIBRARIES}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Concept:
    """What a base was taught.

    Attributes:
        name: The name of the concept, and of its file.
        update: Difference of the K/V stack.
        tokens: The embedding row (d,) of each modifier token, in the order of the subjects; empty
            where none of them has one.
        subjects: What it teaches, at least one; more than one when trained together or merged.
        base_name: The base it was trained on, as the user named it.
        base_fingerprint: That base's fingerprint.
        training: The training configuration.
        metrics: Figures of its quality.
        parents: The concepts that a merge was made from.
        created_at: ISO 8601, UTC.
        libraries: Versions of the libraries it was made with.

    Raises:
        ValueError: There is no subject, or the tokens are not those of the subjects.
    """

    name: str
    update: Update
    tokens: Mapping[str, Tensor]
    subjects: tuple[Subject, ...]
    base_name: str
    base_fingerprint: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Mapping[str, Any], ...] = ()
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    libraries: Mapping[str, str] = field(default_factory=lambda: dict(_versions()))

    def __post_init__(self) -> None:
        """Refuse rows that do not belong to the subjects."""
        named = [subject.token for subject in self.subjects if subject.token is not None]
        if not self.subjects or named != list(self.tokens):
            raise ValueError(
                f"concept {self.name!r} has rows for the tokens {list(self.tokens)}, its "
                f"{len(self.subjects)} subjects have {named}"
            )

    @property
    def phrases(self) -> tuple[str, ...]:
        """How prompts name each subject, such as ``<mycat> cat``."""
        return tuple(subject.phrase for subject in self.subjects)

    @property
    def target_prompts(self) -> tuple[str, ...]:
        """The prompts whose outcome defines the concept: two for each subject, in their order."""
        return tuple(prompt for subject in self.subjects for prompt in subject.target_prompts)

    def check_base(self, base: Base, *, allow_other_base: bool = False) -> None:
        """Refuse a base that the concept was not trained on.

        Raises:
            BaseMismatchError: The shapes differ, or the values do and that is not allowed.
        """
        try:
            base.seam.layout.check(self.update)
        except UpdateShapeError as error:
            raise BaseMismatchError(f"concept {self.name!r}: {error}") from error
        row_shape = (sum(base.text_encoder.widths),)
        for token, row in self.tokens.items():
            if tuple(row.shape) != row_shape:
                raise BaseMismatchError(
                    f"concept {self.name!r}: the row of {token} has shape {tuple(row.shape)}, a "
                    f"token of this base {row_shape}; use the base it was trained on"
                )
        if self.base_fingerprint != base.fingerprint and not allow_other_base:
            raise BaseMismatchError(
                f"concept {self.name!r} was trained on base {self.base_name!r} "
                f"({self.base_fingerprint[:12]}), this is {base.name!r} ({base.fingerprint[:12]}); "
                "use that base, or allow another base explicitly"
            )

    def renamed(self, name: str) -> "Concept":
        """Return the concept under another name; its tokens keep theirs."""
        return replace(self, name=name)
