"""The shapes of a concept file's tensors, each checked before anything is read.

What is wrong with one is found here, where it has a name, and not where a merge or a sampler
stumbles on it. `cdcore.concepts.concept` says what a file holds: d text width, D rows of the K/V
stack.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError

__all__ = ["MERGE_PARTS", "StoredShapes", "damaged"]

MERGE_PARTS = ("constraint", "sketch", "heldout")
"""The parts of merge inputs, as the concept file names them."""

_WIDTH_OF = ("update.weight", "update.right", "update.right.0")
"""Tensors with one column for each text feature; an update has one of them."""
_DTYPES = ("F64", "F32", "F16", "BF16")
"""The types of values that are read, as safetensors names them."""


class StoredShapes:
    """What an open concept file holds, by name and shape.

    Args:
        file: Of `safetensors.safe_open`.
        path: Where it lies, for messages.

    Raises:
        ConceptFileError: It holds more than keys and values, or no update; and from every method: a
            tensor is missing, or of another shape.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._file = file
        self._path = path
        self._names = frozenset(file.keys())
        self._refuse_foreign()
        named = next((name for name in _WIDTH_OF if name in self._names), _WIDTH_OF[0])
        _, self._width = self._shape(named, None, None)

    def update_shape(self) -> tuple[int, int]:
        """Return the shape (D, d) of the update, in whichever form it is stored."""
        if "update.weight" in self._names:
            lefts = ["update.weight"]
        else:
            lefts = sorted(name for name in self._names if name.startswith("update.left"))
        return sum(self._shape(name, None, None)[0] for name in lefts), self._width

    def check_tokens(self, subjects: Sequence[Subject]) -> None:
        """Refuse a file in which the row of a subject's modifier token is missing or misshapen."""
        for number, _ in enumerate(_tokens(subjects)):
            self._shape(f"token.{number}", self._width)

    def _refuse_foreign(self) -> None:
        known = ("update.", "token.", *MERGE_PARTS)
        foreign = min((name for name in self._names if not name.startswith(known)), default=None)
        if foreign is not None:
            raise ConceptFileError(
                f"{self._path}: it changes more than keys and values ({foreign:.80}), which would "
                "be lost; give concepts of which only keys and values were trained"
            )

    def _shape(self, name: str, *expected: int | None) -> list[int]:
        """Return the sides of a tensor, of which None expects any but 0, without reading it."""
        if name not in self._names:
            raise damaged(self._path, f"it has no {name}")
        described = self._file.get_slice(name)
        shape: list[int] = described.get_shape()
        is_right = len(shape) == len(expected) and all(
            side > 0 if wanted is None else side == wanted
            for side, wanted in zip(shape, expected, strict=True)
        )
        dtype: str = described.get_dtype()
        if not is_right or dtype not in _DTYPES:
            sides = ", ".join("1 or more" if wanted is None else str(wanted) for wanted in expected)
            raise damaged(
                self._path,
                f"{name:.80} is {shape} of {dtype}, expected [{sides}] of {', '.join(_DTYPES)}",
            )
        return shape


def damaged(path: Path, what: str) -> ConceptFileError:
    """Return the error of a concept file that cannot be used for what is wrong in it."""
    return ConceptFileError(
        f"{path}: the concept file is damaged: {what}; train or export it again"
    )


def _tokens(subjects: Sequence[Subject]) -> list[str]:
    return [subject.token for subject in subjects if subject.token is not None]
