"""A cell: the smallest piece of an evaluation that is done at once, and never twice.

A cell is some pictures of one method and one entry of a concept set, of one *part*:

    prompts     one prompt with the concept's phrases, several seeds
    plain       the same prompt and seeds in plain words: what the method does to what it was not
                taught
    captions    captions of real pictures, for KID

Its result is not pictures but their embeddings, beside those of the texts in plain words; all
figures follow from these. A result is one file that appears whole, with the digest of all that it
depends on: a cell with another digest counts as not done.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cdcore.evaluation.methods import Method, Part, Section
from cdcore.model.modifier_tokens import without_modifier_tokens

__all__ = ["Cell", "filled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What to sample.

    Attributes:
        section: Single concepts, or pairs.
        entry: Name of the entry.
        method: What samples.
        part: See above.
        number: The number of the prompt, or of the batch of captions.
        nouns: The class nouns of the entry's concepts.
        texts: The text of each picture; "{0}" and "{1}" stand for the concepts.
        seeds: The seed of each picture.
    """

    section: Section
    entry: str
    method: Method
    part: Part
    number: int
    nouns: tuple[str, ...]
    texts: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """Unique in an evaluation; a relative path."""
        return f"{self.section}/{self.method}/{self.entry}/{self.part}-{self.number:03}"

    @property
    def plain_texts(self) -> tuple[str, ...]:
        """What pictures are scored against: plain words, no modifier token."""
        return tuple(without_modifier_tokens(filled(text, self.nouns)) for text in self.texts)

    def prompts(self, phrases: Sequence[str]) -> tuple[str, ...]:
        """Return what is sampled.

        Args:
            phrases: How prompts name what the method was taught, such as ``<mycat> cat``.
        """
        if self.part != "prompts" or self.method == "base":
            return self.plain_texts
        return tuple(filled(text, phrases) for text in self.texts)

    def file(self, output: Path) -> Path:
        """Return where its result lies in the folder of an evaluation."""
        return output / "cells" / f"{self.key}.safetensors"

    def picture_file(self, output: Path, index: int) -> Path:
        """Return where one of its pictures lies, as the original evaluation script wants them."""
        folder = output / "pictures" / self.section / self.method / self.entry / "samples"
        return folder / f"{self.number:03}-{index:03}.png"

    def digest(self, settings: Mapping[str, Any]) -> str:
        """Return a hash of the cell and of everything else that its result depends on.

        Args:
            settings: What JSON can hold: the base, the concepts, the sampler, the embedders.
        """
        text = json.dumps({"cell": asdict(self), **settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def filled(text: str, names: Sequence[str]) -> str:
    """Put names where ``text`` has "{0}" and "{1}"; other braces stay as they are."""
    for number, name in enumerate(names):
        text = text.replace(f"{{{number}}}", name)
    return text
