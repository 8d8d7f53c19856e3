"""A subject: one thing that a concept teaches, and how prompts name it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdcore.model.modifier_tokens import check_modifier_token

__all__ = ["Subject", "distinct_subjects"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One thing that a base is taught.

    Attributes:
        class_noun: What kind of thing it is, such as ``cat``.
        token: Its modifier token, such as ``<mycat>``; None where the class noun itself is taught.

    Raises:
        TokenError: Prompts could not name the token.
    """

    class_noun: str
    token: str | None

    def __post_init__(self) -> None:
        """Refuse a token that prompts could not name."""
        if self.token is not None:
            check_modifier_token(self.token)

    @property
    def phrase(self) -> str:
        """How a prompt names it, such as ``<mycat> cat``."""
        return self.class_noun if self.token is None else f"{self.token} {self.class_noun}"

    @property
    def target_prompts(self) -> tuple[str, str]:
        """The prompts whose outcome defines it."""
        return self.phrase, f"photo of a {self.phrase}"


def distinct_subjects(
    groups: Sequence[Sequence[Subject]],
) -> tuple[list[tuple[Subject, ...]], dict[tuple[int, str], str]]:
    """Give every subject of several concepts a token of its own.

    Args:
        groups: The subjects of each concept.

    Returns:
        The subjects of each concept, tokens that an earlier subject has replaced by ``<NAME-2>``,
        ``<NAME-3>`` and on; and the new token by (number of the concept, old token).
    """
    given = {subject.token for group in groups for subject in group}
    taken: set[str | None] = set()
    renamed: dict[tuple[int, str], str] = {}
    distinct = []
    for index, group in enumerate(groups):
        named = []
        for subject in group:
            token = subject.token
            if token is not None and token in taken:
                numbered = (f"{token[:-1]}-{number}>" for number in itertools.count(2))
                token = next(name for name in numbered if name not in given | taken)
                renamed[index, subject.token or ""] = token
            taken.add(token)
            named.append(replace(subject, token=token))
        distinct.append(tuple(named))
    return distinct, renamed
