"""What a client uploads as a concept: looked at from the outside in, before anything is loaded.

First the length, then the header that a safetensors file begins with (8 bytes of length, one JSON
object): names, dtypes, shapes, places. Then the metadata. Only a file that is in all this a concept
of this base is parsed into tensors, whose values must be numbers.
"""

import json
import math
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cdcore.concepts.foreign_kinds import no_concept
from cdcore.concepts.header import METADATA_KEY
from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.concepts.stored_shapes import MERGE_PARTS
from cdcore.errors import BaseMismatchError, ConceptFileError
from serve.gateway.facts import ServiceFacts

__all__ = ["check_upload", "max_upload_bytes"]

_BYTES = {"F16": 2, "F32": 4, "BF16": 2}
_MAX_HEADER = 2**20
_MAX_MERGE_ROWS = 4096
_MAX_SUBJECTS = 16
_MAX_NAME = 100
_ROOM = 2**20
"""Bytes that the header, tokens and features may take."""

_Text = Annotated[str, Field(max_length=_MAX_NAME)]
_Noun = Annotated[str, Field(max_length=_MAX_NAME, pattern=r"^[^<>\x00-\x1f]*[^<>\x00-\x20]$")]
"""What prompts can say after a modifier token."""


class _Tensor(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    dtype: str
    shape: list[Annotated[int, Field(ge=0, le=2**31)]] = Field(max_length=2)
    data_offsets: tuple[int, int]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * _BYTES.get(self.dtype, 0)


class _Subject(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    class_noun: _Noun
    token: _Text | None


class _Metadata(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int = Field(ge=1, le=1000)
    name: str = Field(max_length=10 * _MAX_NAME)
    subjects: list[_Subject] = Field(min_length=1, max_length=_MAX_SUBJECTS)
    base_name: str = Field(max_length=1000)
    base_fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    parents: list[dict[str, Any]] = Field(default=[], max_length=100)
    created_at: _Text
    libraries: dict[str, str] = {}


def max_upload_bytes(facts: ServiceFacts) -> int:
    """Return the most that a concept of a base may take: a dense update in float32 and the rest."""
    rows = sum(facts.widths)
    return 2 * facts.dense_bytes + 2 * 512 * (rows + facts.text_width) + _ROOM


def check_upload(data: bytes, facts: ServiceFacts) -> None:
    """Pass if data is the file of a concept of a base.

    Raises:
        BaseMismatchError: The concept is of another base.
        ConceptFileError: The data is no concept file, or not one that may be kept.
    """
    most = max_upload_bytes(facts)
    if len(data) > most:
        raise ConceptFileError(
            f"the file has {len(data)} bytes, a concept of this base takes at most {most}"
        )
    header, start = _header(data)
    metadata = _metadata(header.pop("__metadata__", None), header)
    tensors = _tensors(header)
    _check_places(tensors, len(data) - start)
    if metadata.base_fingerprint != facts.base_fingerprint:
        raise BaseMismatchError(
            f"the concept was trained on base {metadata.base_name[:100]!r} "
            f"({metadata.base_fingerprint[:12]}), this service has {facts.base_name!r} "
            f"({facts.base_fingerprint[:12]}); send it to a service of its own base"
        )
    _check_shapes(tensors, len([s for s in metadata.subjects if s.token is not None]), facts)
    _check_values(data)


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(_MAX_HEADER, len(data) - 8):
        raise ConceptFileError(
            "the body does not begin as a safetensors file does; send NAME.safetensors as it is"
        )
    header = _parsed(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise ConceptFileError("the header of the file is no JSON object; train or export it again")
    return header, 8 + length


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConceptFileError(
            f"the header of the file is no JSON ({type(error).__name__}); train or export it again"
        ) from error


def _metadata(given: Any, names: Iterable[str]) -> _Metadata:
    text = given.get(METADATA_KEY) if isinstance(given, dict) else None
    if not isinstance(text, str) or not all(isinstance(value, str) for value in given.values()):
        raise ConceptFileError(no_concept(names))
    try:
        return _Metadata.model_validate(_parsed(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConceptFileError(
            f"the concept's metadata is damaged: {where}: {first['msg']}; train or export it again"
        ) from error


def _tensors(header: Mapping[str, Any]) -> dict[str, _Tensor]:
    tensors = {}
    for name, described in header.items():
        try:
            tensors[name] = _Tensor.model_validate(described, strict=False)
        except ValidationError as error:
            raise ConceptFileError(
                f"tensor {name[:_MAX_NAME]!r} is not described as in a safetensors file"
            ) from error
        if tensors[name].dtype not in _BYTES:
            raise ConceptFileError(
                f"tensor {name[:_MAX_NAME]!r} is of dtype {tensors[name].dtype[:20]!r}, expected "
                f"one of {', '.join(_BYTES)}"
            )
    return tensors


def _check_places(tensors: Mapping[str, _Tensor], size: int) -> None:
    """Tensors must lie one behind the other and fill the rest of the file."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        if tensor.data_offsets != (end, end + tensor.size):
            raise ConceptFileError(f"tensor {name[:_MAX_NAME]!r} does not lie where it should")
        end += tensor.size
    if end != size:
        raise ConceptFileError(
            f"the tensors take {end} bytes, the file has {size} for them; was it cut off?"
        )


class _Shapes:
    """The tensors of a file that have not been accounted for."""

    def __init__(self, tensors: Mapping[str, _Tensor], facts: ServiceFacts) -> None:
        self.left = {name: tensor.shape for name, tensor in tensors.items()}
        self._base_name = facts.base_name

    def take(self, name: str, *shape: int | None) -> int:
        """Account for a tensor, of a shape in which None is free; returns the free side."""
        found = self.left.pop(name, None)
        free = 0
        for wanted, side in zip(shape, found or [], strict=False):
            if wanted is None:
                free = side
        exact = [free if wanted is None else wanted for wanted in shape]
        if found != exact:
            text = " x ".join("n" if side is None else str(side) for side in shape)
            raise BaseMismatchError(
                f"tensor {name!r} has the shape {found}, a concept of base {self._base_name!r} "
                f"has {text}"
            )
        return free


def _check_shapes(tensors: Mapping[str, _Tensor], tokens: int, facts: ServiceFacts) -> None:
    rows, width = sum(facts.widths), facts.text_width
    shapes = _Shapes(tensors, facts)
    _check_update(shapes, facts)
    for number in range(tokens):
        shapes.take(f"token.{number}", width)
    for part in MERGE_PARTS:
        if part != "constraint" and f"{part}.features" not in shapes.left:
            continue
        count = shapes.take(f"{part}.features", None, width)
        if not 1 <= count <= _MAX_MERGE_ROWS:
            raise ConceptFileError(f"{part} has {count} rows, expected 1 to {_MAX_MERGE_ROWS}")
        if "update.weight" in tensors:
            shapes.take(f"{part}.values", count, rows)
    if shapes.left:
        raise ConceptFileError(
            f"tensor {min(shapes.left)[:_MAX_NAME]!r} is of no use to a concept; only keys, values "
            "and tokens can be served"
        )


def _check_update(shapes: _Shapes, facts: ServiceFacts) -> None:
    rows, width = sum(facts.widths), facts.text_width
    if "update.weight" in shapes.left:
        shapes.take("update.weight", rows, width)
    elif "update.left" in shapes.left:
        left = shapes.take("update.left", rows, None)
        _check_rank(left, shapes.take("update.right", None, width), width)
    else:
        for number, own in enumerate(facts.widths):
            left = shapes.take(f"update.left.{number}", own, None)
            _check_rank(left, shapes.take(f"update.right.{number}", None, width), width)


def _check_rank(left: int, right: int, width: int) -> None:
    if left != right or not 1 <= left <= width:
        raise ConceptFileError(
            f"the factors of the update have ranks {left} and {right}, expected one of 1 to {width}"
        )


def _check_values(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        try:
            load_concept(Path(file.name))
            load_merge_inputs(Path(file.name))
        except ConceptFileError as error:
            # Where it lies for the moment is nobody's business.
            raise ConceptFileError(str(error).removeprefix(f"{file.name}: ")) from error
