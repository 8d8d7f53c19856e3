"""Exports: a concept as the files one tool reads, in that tool's folders, and how to use them.

``exports/<tool>/`` holds the files and USE.md with the exact prompt. It holds one concept: a new
export replaces an earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cdcore.concepts.concept import Concept
from cdcore.concepts.low_rank import Compressed
from cdcore.files import write_text
from cdcore.formats.embedding import EMBEDDING
from cdcore.formats.exports.factored import factored
from cdcore.formats.exports.folder import USE_FILE, clear_export
from cdcore.formats.exports.tool_names import TOOLS, ToolName
from cdcore.formats.exports.tools import TOOL_FOLDERS
from cdcore.formats.exports.use_page import use_page
from cdcore.formats.format import Format
from cdcore.formats.lora import DIFFUSERS_LORA, KOHYA, PEFT_LORA
from cdcore.formats.lycoris import LYCORIS
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.update import FactoredUpdate

__all__ = ["ToolExport", "clear_exports", "export_for_tool", "export_for_tools"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolExport:
    """What was written for one tool.

    Attributes:
        tool: Which.
        folder: The folder that was written.
        files: Relative to the folder, USE.md among them.
        error: ``||Delta - Delta_r|| / ||Delta||`` of the update; 0 where it is exact.
    """

    tool: ToolName
    folder: Path
    files: tuple[str, ...]
    error: float


def export_for_tools(
    concept: Concept, base: KVBase, tools: Sequence[ToolName], folder: Path
) -> tuple[ToolExport, ...]:
    """Write ``folder/<tool>/`` for each tool, in half precision, in place of earlier exports.

    Args:
        concept: What to export.
        base: Its base; no weights are needed.
        tools: Which.
        folder: Usually ``exports`` beside the concept file.

    Raises:
        UpdateShapeError: The concept is not of this base.
        OSError: A file cannot be written.
    """
    base.layout.check(concept.update)
    # Of a tool that is not asked for any more, they would be an earlier concept's.
    clear_exports(folder, kept=tools)
    exports = []
    low_rank = None
    for tool in tools:
        if low_rank is None and _format(concept, base, tool).holds == "factors":
            # Once for all of them: of a dense update it takes seconds.
            low_rank = factored(concept, base.layout)
        exports.append(_export(concept, base, tool, folder / tool, low_rank))
    return tuple(exports)


def export_for_tool(
    concept: Concept,
    base: KVBase,
    tool: ToolName,
    folder: Path,
    dtype: torch.dtype = torch.float16,
) -> ToolExport:
    """Write the files of one tool, and USE.md, into ``folder``, in place of an earlier export.

    Args:
        concept: What to export. A dense update is exact where the tool reads differences, and
            compressed where it reads LoRA alone.
        base: Its base; no weights are needed.
        tool: Which.
        folder: The folder of this tool.
        dtype: The dtype of what is stored.

    Raises:
        UpdateShapeError: The concept is not of this base.
        OSError: A file cannot be written.
    """
    base.layout.check(concept.update)
    return _export(concept, base, tool, folder, None, dtype)


def clear_exports(folder: Path, *, kept: Sequence[ToolName] = ()) -> None:
    """Delete what `export_for_tools` has left in ``folder``, and nothing else.

    Args:
        folder: The folder that holds one folder for each tool.
        kept: Tools whose files stay.

    Raises:
        OSError: A file cannot be deleted.
    """
    for tool in TOOLS:
        if tool not in kept:
            clear_export(folder / tool)


def _export(
    concept: Concept,
    base: KVBase,
    tool: ToolName,
    folder: Path,
    low_rank: tuple[Concept, Compressed | None] | None,
    dtype: torch.dtype = torch.float16,
) -> ToolExport:
    places = TOOL_FOLDERS[tool]
    format_ = _format(concept, base, tool)
    error, used = 0.0, concept
    if format_.holds == "factors":
        used, lost = low_rank or factored(concept, base.layout)
        error = lost.error if lost is not None else 0.0
    artifacts = [
        replace(artifact, path=places.weights + artifact.path)
        for artifact in format_.write(used, base, dtype)
    ]
    if concept.tokens:
        artifacts += [
            replace(artifact, path=places.embeddings + artifact.path)
            for artifact in EMBEDDING.write(concept, base, dtype)
        ]
    clear_export(folder)
    for artifact in artifacts:
        artifact.save(folder / artifact.path)
    files = [artifact.path for artifact in artifacts]
    write_text(folder / USE_FILE, use_page(concept, base, places, files, error))
    return ToolExport(tool=tool, folder=folder, files=(*files, USE_FILE), error=error)


def _format(concept: Concept, base: KVBase, tool: ToolName) -> Format:
    """Choose the exact format, and of two exact ones the smaller."""
    if tool == "diffusers":
        return DIFFUSERS_LORA
    if tool == "peft":
        return PEFT_LORA
    height, width = concept.update.shape
    pairs = concept.update.pairs if isinstance(concept.update, FactoredUpdate) else ()
    ranks = [len(right) for _, right in pairs] * (len(base.layout.names) // max(1, len(pairs)))
    factors = sum(
        rank * (own + width) for rank, own in zip(ranks, base.layout.widths, strict=False)
    )
    return KOHYA if pairs and factors < height * width else LYCORIS
