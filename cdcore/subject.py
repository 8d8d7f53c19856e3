"""A subject: one thing that a concept teaches, and how prompts name it."""

from dataclasses import dataclass

from cdcore.text_encoder import check_modifier_token

__all__ = ["Subject"]


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
