"""A concept as one download: its own file, or what another tool reads, several files zipped."""

import io
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.formats.exports.export import export_for_tools
from cdcore.formats.exports.factored import factored
from cdcore.formats.exports.tool_names import TOOLS, tools_named
from cdcore.formats.format import Format
from cdcore.formats.known_formats import FORMATS
from cdcore.formats.tensors.kv_base import KVBase

__all__ = ["CONCEPT", "EXPORTS", "Download", "check_format", "export"]

CONCEPT = "concept"
"""The format that this project reads."""

EXPORTS: tuple[str, ...] = (CONCEPT, *FORMATS, *TOOLS)
"""All formats that can be asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """A file for a client.

    Attributes:
        file_name: A name made of the concept's name and the format.
        media_type: The media type of the content.
        data: The content.
    """

    file_name: str
    media_type: str
    data: bytes


def check_format(name: str) -> str:
    """Return the name of a format if there is one of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in EXPORTS:
        raise ConfigError(f"format is {name[:40]!r}, expected one of {', '.join(EXPORTS)}")
    return name


def export(concept: Concept, base: KVBase, name: str) -> Download:
    """Write a concept in another tool's format.

    Args:
        concept: The concept, under the name that its files get.
        base: The concept's base, with its weights.
        name: The format or the tool; not `CONCEPT`, whose file exists.

    Raises:
        ConfigError: There is no such format, or it cannot hold the concept.
        OSError: No temporary file can be written.
    """
    check_format(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name in FORMATS:
            _write(concept, base, FORMATS[name], folder)
        else:
            export_for_tools(concept, base, tools_named(name), folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if len(files) == 1:
            return Download(
                file_name=f"{concept.name}.{name}{files[0].suffix}",
                media_type="application/octet-stream",
                data=files[0].read_bytes(),
            )
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
    return Download(
        file_name=f"{concept.name}.{name}.zip",
        media_type="application/zip",
        data=packed.getvalue(),
    )


def _write(concept: Concept, base: KVBase, format_: Format, folder: Path) -> None:
    if format_.holds == "factors":
        concept, _ = factored(concept, base.layout)
    for artifact in format_.write(concept, base, torch.float16):
        path = folder / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        artifact.save(path)
