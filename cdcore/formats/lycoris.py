"""LyCORIS ``full``: the difference of each matrix, exactly; for ComfyUI, A1111, Forge, InvokeAI.

    {"lora_unet_down_blocks_0_..._attn2_to_k.diff": (D_n, d)}

The tool adds it to its own weights, times the strength that the user sets.
"""

import torch

from cdcore.concepts.concept import Concept
from cdcore.formats.file_names import file_stem
from cdcore.formats.format import Artifact, Format
from cdcore.formats.lora_metadata import lora_metadata
from cdcore.formats.tensors.key_names import lora_modules
from cdcore.formats.tensors.kv_base import KVBase

__all__ = ["LYCORIS"]


def _write(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    parts = base.layout.split(concept.update.dense().cpu())
    tensors = {
        f"{module}.diff": parts[name].to(dtype)
        for name, module in lora_modules(base.layout).items()
    }
    metadata = lora_metadata(
        concept, base, tensors, module="lycoris.kohya", args={"algo": "full"}, ranks=[]
    )
    path = f"{file_stem(concept.name)}.safetensors"
    return (Artifact(path=path, tensors=tensors, metadata=metadata),)


LYCORIS = Format(
    name="lycoris",
    title="LyCORIS full .diff (ComfyUI, A1111, Forge, InvokeAI), exact",
    holds="difference",
    suffixes=(".safetensors",),
    write=_write,
    has_tokens=False,
)
