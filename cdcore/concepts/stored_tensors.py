"""The tensors of a concept file, each checked when it is read.

What is wrong with one is found here, where it has a name, and not where a merge or a sampler
stumbles on it. `cdcore.concepts.concept` says what a file holds: s rows of features, d text width,
D rows of the K/V stack.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from cdcore.concepts.merge_inputs import Rows
from cdcore.concepts.stored_shapes import MERGE_PARTS, StoredShapes
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError
from cdcore.model.update import Update, update_of_tensors

__all__ = ["ConceptTensors"]


class ConceptTensors(StoredShapes):
    """What an open concept file holds, on the CPU in float32.

    Args:
        file: What `safetensors.safe_open` gives.
        path: The path of the file, for messages.

    Raises:
        ConceptFileError: The file holds more than keys and values, or no update; and from every
            method: a tensor is missing, of another shape, or holds values that are no numbers.
    """

    def update(self) -> Update:
        """Read the update.

        Raises:
            UpdateShapeError: Its parts do not fit.
        """
        parts = sorted(name for name in self._names if name.startswith("update."))
        return update_of_tensors(
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

    def _read(self, name: str, *expected: int | None) -> Tensor:
        self._shape(name, *expected)
        tensor: Tensor = self._file.get_tensor(name).float()
        if not _is_finite(tensor):
            raise ConceptFileError(
                f"{self._path}: {name:.80} holds values that are no numbers; train the concept "
                "again with a smaller learning rate"
            )
        return tensor


def _is_finite(tensor: Tensor) -> bool:
    # One value that is no number makes the sum none. The sum takes a fortieth of the time of a look
    # at each value, which is left for finite values so large that their sum overflows.
    return math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())
