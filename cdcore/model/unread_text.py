"""The end of a prompt that a base does not read, because its text encoder has so many positions.

Stable Diffusion reads 75 tokens of a prompt and the pocket base 38; what follows is cut off, as in
every tool, and with it perhaps the modifier token of a concept. Whoever draws is told.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cdcore.model.modifier_tokens import MODIFIER_TOKEN_IN_PROMPT, modifier_tokens

__all__ = ["UnreadText", "notes_on", "unread_text"]

_SHOWN = 60
"""Characters of a text in a note."""
_MOST_NOTES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadText:
    """What a base does not read of a prompt.

    Attributes:
        read: The part that is read.
        text: The part that is not; never empty.
        length: Tokens of the whole prompt, start and end not counted.
        room: How many of them are read.
    """

    read: str
    text: str
    length: int
    room: int

    @property
    def tokens(self) -> tuple[str, ...]:
        """The modifier tokens that the prompt names in the unread part alone, in order."""
        seen = modifier_tokens(self.read)
        return tuple(
            token for token in dict.fromkeys(modifier_tokens(self.text)) if token not in seen
        )

    @property
    def note(self) -> str:
        """One line for whoever has written the prompt."""
        prompt = _shortened(self.read + self.text)
        line = (
            f"prompt {prompt!r} has {self.length} tokens, of which this base reads {self.room}: "
            f"{_shortened(self.text)!r} is cut off"
        )
        if self.tokens:
            names = " and ".join(self.tokens)
            line += f", and with it {names}: name the concept earlier, or write less"
        return line

    def hides(self, names: Collection[str]) -> bool:
        """Return whether the prompt has one of these names, but none in the part that is read.

        Args:
            names: Modifier tokens, or class nouns where those are what was taught; in lower case.
        """
        read, text = self.read.lower(), self.text.lower()
        return any(name in text for name in names) and not any(name in read for name in names)


def unread_text(
    prompt: str, room: int, ends_of: Callable[[str], Sequence[int]]
) -> UnreadText | None:
    """Return what does not fit of a prompt, or None where all of it is read.

    Args:
        prompt: Any text. Each modifier token in it takes one position.
        room: How many tokens are read, start and end not counted.
        ends_of: Returns where each token of a text without modifier tokens ends, in characters.
    """
    length, start, read_to = 0, 0, 0
    for piece in MODIFIER_TOKEN_IN_PROMPT.split(prompt):
        is_token = MODIFIER_TOKEN_IN_PROMPT.fullmatch(piece)
        for end in [len(piece)] if is_token else ends_of(piece):
            length += 1
            if length <= room:
                read_to = start + end
        start += len(piece)
    if length <= room:
        return None
    return UnreadText(read=prompt[:read_to], text=prompt[read_to:], length=length, room=room)


def notes_on(found: Sequence[UnreadText | None]) -> list[str]:
    """Return the notes on several prompts, few lines however many prompts there are."""
    notes = [one.note for one in found if one is not None]
    more = len(notes) - _MOST_NOTES
    return notes if more <= 0 else [*notes[:_MOST_NOTES], f"{more} more prompts are cut off"]


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
