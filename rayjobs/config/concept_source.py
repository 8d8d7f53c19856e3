"""Where one concept comes from: its pictures and its words, as a user writes them."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["ConceptSource"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptSource:
    """What a user gives of one concept."""

    images: Path
    """Folder, or zip archive, with 4 to 20 pictures of it."""
    class_noun: str
    """What kind of thing it is."""
    name: str | None = None
    """What its modifier token is made of; default the folder's name."""
    modifier_token: str | None = None
    """Word that prompts name it by; default <NAME>. 'none' teaches the class noun."""
    initializer_token: str | None = None
    """Existing word that the modifier token starts from; default as for one concept."""
    regularization: Path | None = None
    """Folder of real pictures of its class with captions, in place of generated ones."""

    def __str__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return ",".join(f"{key}={value}" for key, value in given.items() if value is not None)

    @property
    def token(self) -> str | None:
        """The modifier token that is asked for; None teaches the class noun."""
        if self.modifier_token == "none":
            return None
        folder = self.images.absolute().name.lower().removesuffix(".zip")
        word = re.sub("[^a-z0-9_]+", "-", folder).strip("-_")
        return self.modifier_token or f"<{(self.name or word).lower()}>"
