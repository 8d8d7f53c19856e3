"""The tensors of a concept file, each checked when it is read.

What is wrong with one is found here, where it has a name, and not where a merge or a sampler
stumbles on it. `cdcore.concepts.concept` says what a file holds: s rows of features, d text width,
D rows of the K/V stack.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from cdcore.concepts.merge_inputs import MERGE_PARTS, Rows
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError
from cdcore.model.update import Update

__all__ = ["ConceptTensors", "damaged"]

_WIDTH_OF = ("update.weight", "update.right", "update.right.0")
"""Tensors with one column for each text feature; an update has one of them."""
_DTYPES = ("F64", "F32", "F16", "BF16")
"""The dtypes that are read, by the names that safetensors has for them."""


class ConceptTensors:
    """What an open concept file holds, on the CPU in float32.

    Args:
        file: What `safetensors.safe_open` gives.
        path: The path of the file, for messages.

    Raises:
        ConceptFileError: The file holds more than keys and values, or no update; and from every
            method: a tensor is missing, of another shape, or holds values that are no numbers.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._file = file
        self._path = path
        self._names = frozenset(file.keys())
        self._refuse_foreign()
        named = next((name for name in _WIDTH_OF if name in self._names), _WIDTH_OF[0])
        _, self._width = self._shape(named, None, None)

    def update(self) -> Update:
        """Read the update.

        Raises:
            UpdateShapeError: Its parts do not fit.
        """
        parts = sorted(name for name in self._names if name.startswith("update."))
        return Update.of_tensors(
            {name.removeprefix("update."): self._read(name, None, None) for name in parts}
        )

    def tokens(self, subjects: Sequence[Subject]) -> dict[str, Tensor]:
        """Read the row (d,) of each subject's modifier token, in their order."""
        named = [subject.token for subject in subjects if subject.token is not None]
        return {
            token: self._read(f"token.{number}", self._width) for number, token in enumerate(named)
        }

    def rows(self) -> dict[str, Rows]:
        """Read the rows of the merge inputs, without the update where that is dense.

        Returns:
            By the part of the merge inputs; files of older versions have the first part alone.
        """
        # What a factored update makes of the features follows at once, and is not stored.
        update = None if "update.weight" in self._names else self.update()
        first, *others = MERGE_PARTS
        present = [first, *(part for part in others if f"{part}.features" in self._names)]
        return {part: self._rows(part, update) for part in present}

    def _rows(self, part: str, update: Update | None) -> Rows:
        features = self._read(f"{part}.features", None, self._width)
        if update is not None:
            return Rows(features=features, values=update.apply(features))
        height, _ = self._shape("update.weight", None, None)
        values = self._read(f"{part}.values", len(features), height)
        return Rows(features=features, values=values)

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

    def _read(self, name: str, *expected: int | None) -> Tensor:
        self._shape(name, *expected)
        tensor: Tensor = self._file.get_tensor(name).float()
        if not _is_finite(tensor):
            raise ConceptFileError(
                f"{self._path}: {name:.80} holds values that are no numbers; train the concept "
                "again with a smaller learning rate"
            )
        return tensor


def damaged(path: Path, what: str) -> ConceptFileError:
    """Return the error of a concept file that cannot be used for what is wrong in it."""
    return ConceptFileError(
        f"{path}: the concept file is damaged: {what}; train or export it again"
    )


def _is_finite(tensor: Tensor) -> bool:
    # One value that is no number makes the sum none. The sum takes a fortieth of the time of a look
    # at each value, which is left for finite values so large that their sum overflows.
    return math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())
