"""The file of a latent cache: Arrow record batches of posteriors, mapped into memory to be read.

Its columns are the picture's number, the prefix, mean and deviation in float16, and the mask; its
metadata has the schema's version and the shape of a row.

C latent channels, (h, w) latent cells.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from cdcore.errors import BaseModelError, RunError
from cdcore.files import replacing
from cdcore.training.latent_rows import LatentRow

__all__ = [
    "SCHEMA_VERSION",
    "Shape",
    "UnusableCacheError",
    "map_latent_file",
    "write_latent_file",
]

SCHEMA_VERSION = 1
"""The schema of the files written here; newer ones are refused."""

Shape = tuple[int, int, int]
"""(C, h, w) of one row."""

_ROWS_PER_BATCH = 64


class UnusableCacheError(RunError):
    """A latent cache file is missing, cut short or something else; building it again mends it."""


def write_latent_file(path: Path, rows: Iterable[LatentRow], shape: Shape) -> None:
    """Write rows to a file, one batch after another; nothing is visible before all are written.

    Args:
        path: Final name; replaced when it exists.
        rows: Any number of rows.
        shape: (C, h, w) of every row.

    Raises:
        BaseModelError: A posterior is not finite in float16.
        ValueError: A row has another shape.
        OSError: The folder cannot be written, or the disk is full.
    """
    schema = _schema(shape)
    remaining = iter(rows)
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        while chunk := list(itertools.islice(remaining, _ROWS_PER_BATCH)):
            writer.write_batch(_record_batch(chunk, shape, schema))


def map_latent_file(path: Path) -> tuple[list[pa.RecordBatch], Shape]:
    """Map a file into memory.

    Returns:
        Its batches, which hold views into the file, and (C, h, w) of every row.

    Raises:
        UnusableCacheError: The file is missing, cut short, or no latent cache.
        RunError: A newer version wrote it.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        shape = _file_shape(path, reader.schema)
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise UnusableCacheError(
            f"{path}: not a whole latent cache ({exc}); delete it to have it built again"
        ) from exc
    return batches, shape


def _schema(shape: Shape) -> pa.Schema:
    channels, height, width = shape
    cells = height * width
    half = pa.list_(pa.float16(), channels * cells)
    fields = [
        ("picture", pa.int32()),
        ("prefix", pa.string()),
        ("mean", half),
        ("std", half),
        ("valid_mask", pa.list_(pa.uint8(), cells)),
    ]
    metadata = {"schema_version": str(SCHEMA_VERSION), "latent_shape": json.dumps(shape)}
    return pa.schema(fields, metadata=metadata)


def _record_batch(rows: Sequence[LatentRow], shape: Shape, schema: pa.Schema) -> pa.RecordBatch:
    for row in rows:
        _check_row(row, shape)
    values = {
        "mean": np.stack([_half(row.mean) for row in rows]),
        "std": np.stack([_half(row.std) for row in rows]),
        "valid_mask": np.stack([row.valid_mask.to("cpu", torch.uint8).numpy() for row in rows]),
    }
    for name in ("mean", "std"):
        _check_finite(values[name], rows)
    columns = [pa.array([r.picture for r in rows], pa.int32()), pa.array([r.prefix for r in rows])]
    for name, value in values.items():
        flat = pa.array(value.reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, type=schema.field(name).type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _check_row(row: LatentRow, shape: Shape) -> None:
    shapes = tuple(row.mean.shape), tuple(row.std.shape), tuple(row.valid_mask.shape)
    if shapes != (shape, shape, shape[1:]):
        raise ValueError(f"row has shapes {shapes}; mean and std need {shape}, mask {shape[1:]}")


def _check_finite(values: npt.NDArray[np.float16], rows: Sequence[LatentRow]) -> None:
    is_finite = np.isfinite(values).all(axis=(1, 2, 3))
    if not is_finite.all():
        picture = rows[int(np.argmin(is_finite))].picture
        raise BaseModelError(
            f"the VAE gave values that are not finite for picture number {picture} (from 0); "
            "run the VAE in float32"
        )


def _half(values: Tensor) -> npt.NDArray[np.float16]:
    half: npt.NDArray[np.float16] = values.detach().to("cpu", torch.float16).numpy()
    return half


def _file_shape(path: Path, schema: pa.Schema) -> Shape:
    metadata = schema.metadata or {}
    version = int(metadata.get(b"schema_version", b"0"))
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path}: latent cache of schema {version}, this version reads up to {SCHEMA_VERSION}; "
            "update, or delete the file to have it built again"
        )
    channels, height, width = json.loads(metadata.get(b"latent_shape", b"[]"))
    shape = int(channels), int(height), int(width)
    if not schema.equals(_schema(shape)):
        raise ValueError("columns differ")
    return shape
