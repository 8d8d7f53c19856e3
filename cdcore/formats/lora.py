"""LoRA files: two factors of each matrix, exact for an update that is factored already.

    kohya       {"lora_unet_..._to_k.lora_up.weight": (D_n, r), "....lora_down.weight": (r, d),
                 "....alpha": a}
    diffusers   {"unet.down_blocks.0....attn2.to_k.lora_B.weight": (D_n, r), "....lora_A.weight"}
    PEFT        {"base_model.model.down_blocks.0....lora_B.weight": (D_n, r), ...} and
                ``adapter_config.json``

All readers scale by alpha / rank, and ranks may differ from matrix to matrix. In kohya's files
alpha is the largest rank everywhere and the up factor makes up for it: diffusers 0.42 drops alphas
that differ between attention matrices. diffusers' own files and PEFT's have alpha and rank of each
matrix in their configuration, because older versions scale every matrix by the commonest rank.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from cdcore.concepts.concept import Concept
from cdcore.formats.file_names import file_stem
from cdcore.formats.format import Artifact, Format
from cdcore.formats.lora_metadata import lora_metadata
from cdcore.formats.tensors.key_names import lora_modules, module_of
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.tensors.stack_tensors import matrix_factors
from cdcore.model.update import Block

__all__ = ["DIFFUSERS_LORA", "KOHYA", "PEFT_LORA"]

_DIFFUSERS_PREFIX, _PEFT_PREFIX = "unet.", "base_model.model."
_DIFFUSERS_METADATA = "lora_adapter_metadata"


def _write_kohya(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    factors = matrix_factors(concept.update, base.layout)
    ranks = [len(right) for _, right in factors.values()]
    alpha = float(max(ranks))
    tensors = {}
    for name, module in lora_modules(base.layout).items():
        left, right = factors[name]
        tensors[f"{module}.lora_up.weight"] = (left * (len(right) / alpha)).to(dtype)
        tensors[f"{module}.lora_down.weight"] = right.to(dtype)
        tensors[f"{module}.alpha"] = torch.tensor(alpha, dtype=dtype)
    metadata = lora_metadata(concept, base, tensors, module="networks.lora", args={}, ranks=ranks)
    path = f"{file_stem(concept.name)}.safetensors"
    return (Artifact(path=path, tensors=tensors, metadata=metadata),)


def _write_diffusers(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    factors = matrix_factors(concept.update, base.layout)
    tensors = _factor_tensors(factors, _DIFFUSERS_PREFIX, dtype)
    config = {_DIFFUSERS_PREFIX + key: value for key, value in _config(factors).items()}
    metadata = {"format": "pt", _DIFFUSERS_METADATA: json.dumps(config, sort_keys=True)}
    path = f"{file_stem(concept.name)}.safetensors"
    return (Artifact(path=path, tensors=tensors, metadata=metadata),)


def _write_peft(concept: Concept, base: KVBase, dtype: torch.dtype) -> tuple[Artifact, ...]:
    factors = matrix_factors(concept.update, base.layout)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": concept.base_name,
        "inference_mode": True,
        **_config(factors),
    }
    return (
        Artifact(
            path="adapter_model.safetensors", tensors=_factor_tensors(factors, _PEFT_PREFIX, dtype)
        ),
        Artifact(path="adapter_config.json", text=json.dumps(config, indent=2) + "\n"),
    )


def _factor_tensors(
    factors: Mapping[str, Block], prefix: str, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, (left, right) in factors.items():
        tensors[f"{prefix}{module_of(name)}.lora_A.weight"] = right.to(dtype)
        tensors[f"{prefix}{module_of(name)}.lora_B.weight"] = left.to(dtype)
    return tensors


def _config(factors: Mapping[str, Block]) -> dict[str, Any]:
    """Return the LoRA configuration in PEFT's words."""
    ranks = {module_of(name): len(right) for name, (_, right) in factors.items()}
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: rank for module, rank in ranks.items() if rank != usual}
    return {
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": list(ranks),
        "lora_dropout": 0.0,
        "bias": "none",
    }


KOHYA = Format(
    name="kohya",
    title="kohya LoRA (ComfyUI, A1111, Forge, InvokeAI, diffusers)",
    holds="factors",
    suffixes=(".safetensors",),
    write=_write_kohya,
    has_tokens=False,
)
DIFFUSERS_LORA = Format(
    name="diffusers-lora",
    title="diffusers LoRA (load_lora_weights)",
    holds="factors",
    suffixes=(".safetensors",),
    write=_write_diffusers,
    has_tokens=False,
)
PEFT_LORA = Format(
    name="peft-lora",
    title="PEFT adapter folder",
    holds="factors",
    suffixes=(),
    write=_write_peft,
    has_tokens=False,
)
