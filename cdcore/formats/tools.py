"""Exports: a concept as the files one tool reads, in that tool's folders, and how to use them.

``exports/<tool>/`` holds the files and USE.md with the exact prompt. It holds one concept: a new
export replaces an earlier one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from cdcore.compression import Compressed
from cdcore.concept import Concept
from cdcore.errors import ConfigError
from cdcore.files import write_text
from cdcore.formats.embedding import EMBEDDING, embedding_stems
from cdcore.formats.export_folder import USE_FILE, clear_export, listed
from cdcore.formats.file_names import file_stem
from cdcore.formats.format import Format
from cdcore.formats.kv_base import KVBase
from cdcore.formats.lora import DIFFUSERS_LORA, KOHYA, PEFT_LORA
from cdcore.formats.low_rank import factored
from cdcore.formats.lycoris import LYCORIS

__all__ = [
    "TOOLS",
    "ToolExport",
    "ToolName",
    "clear_exports",
    "export_for_tool",
    "export_for_tools",
    "tools_named",
]

ToolName = Literal["comfyui", "a1111", "diffusers", "peft"]

TOOLS: tuple[ToolName, ...] = get_args(ToolName)
"""All that can be exported for."""

_PROMPT_END = "on the beach"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolExport:
    """What was written for one tool.

    Attributes:
        tool: Which.
        folder: Where.
        files: Relative to the folder, USE.md among them.
        error: ``||Delta - Delta_r|| / ||Delta||`` of the update; 0 where it is exact.
    """

    tool: ToolName
    folder: Path
    files: tuple[str, ...]
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where a tool looks for files, relative to its own folder."""

    title: str
    weights: str
    embeddings: str
    word: Callable[[str, str], str]
    """What the prompt calls a token, from the token and its file's name."""
    prefix: Callable[[str], str]
    """What comes before the prompt, from the weights' file name."""
    usage: Callable[[Concept, KVBase], str]


def tools_named(text: str | None, *, default: Sequence[ToolName] = ()) -> tuple[ToolName, ...]:
    """Return the tools that a list such as ``comfyui,a1111`` names.

    Args:
        text: Names with commas between them; ``none`` for none, ``all`` for all.
        default: Taken when the text is None.

    Raises:
        ConfigError: A name is unknown.
    """
    if text is None:
        return tuple(default)
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return ()
    if words == ["all"]:
        return TOOLS
    unknown = [word for word in words if word not in TOOLS]
    if unknown or not words:
        raise ConfigError(
            f"export is {text!r}, expected some of {','.join(TOOLS)}, or 'all' or 'none'"
        )
    return tuple(tool for tool in TOOLS if tool in words)


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
        folder: Of this tool.
        dtype: Of what is stored.

    Raises:
        UpdateShapeError: The concept is not of this base.
        OSError: A file cannot be written.
    """
    base.layout.check(concept.update)
    return _export(concept, base, tool, folder, None, dtype)


def clear_exports(folder: Path, *, kept: Sequence[ToolName] = ()) -> None:
    """Delete what `export_for_tools` has left in ``folder``, and nothing else.

    Args:
        folder: As there.
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
    places = _PLACES[tool]
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
    write_text(folder / USE_FILE, _use(concept, base, places, files, error))
    return ToolExport(tool=tool, folder=folder, files=(*files, USE_FILE), error=error)


def _format(concept: Concept, base: KVBase, tool: ToolName) -> Format:
    """Choose the exact format, and of two exact ones the smaller."""
    if tool == "diffusers":
        return DIFFUSERS_LORA
    if tool == "peft":
        return PEFT_LORA
    height, width = concept.update.shape
    pairs = concept.update.pairs
    ranks = [len(right) for _, right in pairs] * (len(base.layout.names) // max(1, len(pairs)))
    factors = sum(
        rank * (own + width) for rank, own in zip(ranks, base.layout.widths, strict=False)
    )
    return KOHYA if pairs and factors < height * width else LYCORIS


def _use(
    concept: Concept, base: KVBase, places: _Places, files: Sequence[str], error: float
) -> str:
    stems = embedding_stems(concept)
    phrases = [
        subject.class_noun
        if subject.token is None
        else f"{places.word(subject.token, stems[subject.token])} {subject.class_noun}"
        for subject in concept.subjects
    ]
    prefix = places.prefix(file_stem(concept.name))
    prompts = [f"    {prefix}{phrase} {_PROMPT_END}" for phrase in phrases]
    quality = (
        "The update is exact."
        if error == 0
        else f"The update is of low rank and differs from the concept by {error:.1%} of its length."
    )
    return "\n".join(
        [
            f"# {concept.name} for {places.title}",
            "",
            f"For bases like {concept.base_name}. {quality}",
            "",
            "Files:",
            "",
            *map(listed, files),
            "",
            places.usage(concept, base),
            "",
            "Prompt:" if len(prompts) == 1 else "Prompts, one for each subject:",
            "",
            *prompts,
            "",
        ]
    )


def _webui_usage(lora: str, embeddings: str, how: str) -> Callable[[Concept, KVBase], str]:
    def usage(concept: Concept, base: KVBase) -> str:
        text = f"Copy the folders into the tool's own: weights go to `{lora}`"
        text += f", embeddings to `{embeddings}`." if concept.tokens else "."
        return f"{text} {how}"

    return usage


def _python_usage(load: str) -> Callable[[Concept, KVBase], str]:
    def usage(concept: Concept, base: KVBase) -> str:
        lines = [load.format(name=file_stem(concept.name)), *_embedding_lines(concept, base)]
        return "\n".join(["In Python, with `FOLDER` the path of this folder:", "", *_code(lines)])

    return usage


def _embedding_lines(concept: Concept, base: KVBase) -> list[str]:
    stems = embedding_stems(concept)
    if not stems:
        return []
    if len(base.encoder_widths) == 1:
        return [
            f'pipe.load_textual_inversion(FOLDER + "/embeddings/{stem}.safetensors", '
            f'token="{token}")'
            for token, stem in stems.items()
        ]
    lines = ["from safetensors.torch import load_file"]
    for token, stem in stems.items():
        lines.append(f'rows = load_file(FOLDER + "/embeddings/{stem}.safetensors")')
        lines += [
            f'pipe.load_textual_inversion(rows["{key}"], token="{token}", '
            f"text_encoder=pipe.text_encoder{number}, tokenizer=pipe.tokenizer{number})"
            for key, number in (("clip_l", ""), ("clip_g", "_2"))
        ]
    return lines


def _code(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for text in lines for line in text.splitlines()]


_PLACES = {
    "comfyui": _Places(
        title="ComfyUI",
        weights="models/loras/",
        embeddings="models/embeddings/",
        word=lambda token, stem: f"embedding:{stem}",
        prefix=lambda name: "",
        usage=_webui_usage(
            "ComfyUI/models/loras",
            "ComfyUI/models/embeddings",
            "Load the weights with the node LoraLoaderModelOnly, at strength 1.",
        ),
    ),
    "a1111": _Places(
        title="A1111, Forge and SD.Next",
        weights="models/Lora/",
        embeddings="embeddings/",
        word=lambda token, stem: stem,
        prefix=lambda name: f"<lora:{name}:1> ",
        usage=_webui_usage(
            "models/Lora", "embeddings", "The prompt below loads both; 1 is the strength."
        ),
    ),
    "diffusers": _Places(
        title="diffusers",
        weights="",
        embeddings="embeddings/",
        word=lambda token, stem: token,
        prefix=lambda name: "",
        usage=_python_usage(
            'pipe.load_lora_weights(FOLDER, weight_name="{name}.safetensors")  # needs peft'
        ),
    ),
    "peft": _Places(
        title="PEFT",
        weights="",
        embeddings="embeddings/",
        word=lambda token, stem: token,
        prefix=lambda name: "",
        usage=_python_usage(
            "from peft import PeftModel\npipe.unet = PeftModel.from_pretrained(pipe.unet, FOLDER)"
        ),
    ),
}
