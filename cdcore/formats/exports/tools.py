"""The folders of the tools that exports are written for, and how a prompt names a concept there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cdcore.concepts.concept import Concept
from cdcore.formats.embedding import embedding_stems
from cdcore.formats.file_names import file_stem
from cdcore.formats.tensors.kv_base import KVBase

__all__ = ["TOOL_FOLDERS", "ToolFolders"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolFolders:
    """Where a tool looks for files, relative to its own folder."""

    title: str
    weights: str
    embeddings: str
    word: Callable[[str, str], str]
    """What the prompt calls a token, from the token and its file's name."""
    prefix: Callable[[str], str]
    """What comes before the prompt, from the weights' file name."""
    usage: Callable[[Concept, KVBase], str]


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
    lines = [
        "from safetensors.torch import load_file",
        # As published, SDXL pools a text at its highest id, which a token above the end would be.
        "pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id",
    ]
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


TOOL_FOLDERS = {
    "comfyui": ToolFolders(
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
    "a1111": ToolFolders(
        title="A1111, Forge and SD.Next",
        weights="models/Lora/",
        embeddings="embeddings/",
        word=lambda token, stem: stem,
        prefix=lambda name: f"<lora:{name}:1> ",
        usage=_webui_usage(
            "models/Lora", "embeddings", "The prompt below loads both; 1 is the strength."
        ),
    ),
    "diffusers": ToolFolders(
        title="diffusers",
        weights="",
        embeddings="embeddings/",
        word=lambda token, stem: token,
        prefix=lambda name: "",
        usage=_python_usage(
            'pipe.load_lora_weights(FOLDER, weight_name="{name}.safetensors")  # needs peft'
        ),
    ),
    "peft": ToolFolders(
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
