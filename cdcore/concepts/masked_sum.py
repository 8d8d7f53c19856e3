"""The token-masked sum: each update acts only on the rows of its own subjects in the prompt.

    K, V = W0 c + sum_i m_i (X_i c)        m_i 1 on the rows of concept i's phrases, else 0

It needs no solve, and leaves prompts that name no concept exactly as they are; but the end token
and the padding, which a concept changes too, stay those of the base. It depends on the prompt, so
it is no update and no file can hold it: it is made when a picture is sampled. Kept as a measured
alternative to a merge.

L tokens of a prompt, d text width, D rows of the K/V stack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cdcore.concepts.subject import Subject
from cdcore.model.text_encoder import TextEncoder
from cdcore.model.update import Update

__all__ = ["MaskedPart", "MaskedSum", "MaskedUpdate", "own_positions"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaskedPart:
    """An update, scaled by its weight, and the subjects on whose rows it acts."""

    update: Update
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaskedUpdate:
    """A masked sum in one prompt; stands where an `Update` does when features are projected.

    Attributes:
        parts: Updates with the rows (L,) in {0, 1} that each acts on; at least one.
    """

    parts: tuple[tuple[Update, Tensor], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(D, d)."""
        return self.parts[0][0].shape

    def apply(self, features: Tensor) -> Tensor:
        """Return what is added to the keys and values of features (B, L, d): (B, L, D)."""
        masks = [mask.to(features)[:, None] for _, mask in self.parts]
        applied = [
            update.apply(features * mask)
            for (update, _), mask in zip(self.parts, masks, strict=True)
        ]
        return torch.stack(applied).sum(dim=0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MaskedSum:
    """Updates of several concepts, each to act on its own subjects."""

    parts: tuple[MaskedPart, ...]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "MaskedSum":
        """Return the sum on another device, or in another dtype."""
        moved = [replace(part, update=part.update.to(device, dtype)) for part in self.parts]
        return MaskedSum(parts=tuple(moved))

    def at(self, encoder: TextEncoder, prompt: str, tokens: Mapping[str, Tensor]) -> MaskedUpdate:
        """Return the update of one prompt.

        Args:
            encoder: Tokenizes.
            prompt: Any text; it need not name a concept.
            tokens: The rows of all modifier tokens.
        """
        return MaskedUpdate(
            parts=tuple(
                (part.update, own_positions(encoder, prompt, list(tokens), part.subjects))
                for part in self.parts
            )
        )


def own_positions(
    encoder: TextEncoder, prompt: str, tokens: Sequence[str], subjects: Sequence[Subject]
) -> Tensor:
    """Return a mask (L,) float32 that is 1 where the prompt names one of the subjects.

    A modifier token counts with the class noun where that follows it, and alone where it does not.

    Args:
        encoder: Tokenizes.
        prompt: Any text.
        tokens: All modifier tokens that it may name.
        subjects: The subjects whose rows are wanted.
    """
    encoded = encoder.tokenize([prompt], tokens)
    ids, modifiers = encoded.ids[0].tolist(), encoded.modifiers[0].tolist()
    mask = torch.zeros(len(ids))
    for subject in subjects:
        noun = encoder.word_ids(subject.class_noun)
        number = None if subject.token is None else tokens.index(subject.token)
        for at, (id_, modifier) in enumerate(zip(ids, modifiers, strict=True)):
            if number is None:
                begins = modifier < 0 and id_ == noun[0] and ids[at : at + len(noun)] == noun
                first, end = at, at + (len(noun) if begins else 0)
            else:
                first, end = at, at + (modifier == number)
                if end > at and ids[end : end + len(noun)] == noun:
                    end += len(noun)
            mask[first:end] = 1
    return mask
