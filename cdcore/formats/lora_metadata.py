"""The texts that tools read of a LoRA-type file: kohya's ``ss_*`` and the modelspec.

A1111 files a LoRA by ``ss_base_model_version`` (without it SDXL would be taken for SD1); model
sites read ``modelspec.*``. ``sshs_model_hash`` is the SHA-256 of all tensor bytes, so that a file
keeps its identity when its texts change.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from safetensors.torch import save
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.formats.tensors.kv_base import KVBase

__all__ = ["lora_metadata"]

_VERSIONS = {
    ("sd1", False): ("sd_v1", "stable-diffusion-v1", 512),
    ("sd2", False): ("sd_v2", "stable-diffusion-v2-512", 512),
    ("sd2", True): ("sd_v2_v", "stable-diffusion-v2-768-v", 768),
    ("sdxl", False): ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base", 1024),
}
"""What kohya and the modelspec call a family that predicts velocity or not, and its resolution."""
_LENGTH_BYTES = 8


def lora_metadata(
    concept: Concept,
    base: KVBase,
    tensors: Mapping[str, Tensor],
    *,
    module: str,
    args: Mapping[str, str],
    ranks: list[int],
) -> dict[str, str]:
    """Return the metadata of a file that holds ``tensors``.

    Args:
        concept: What is written.
        base: Its base.
        tensors: The tensors of the file.
        module: The network module that the file is of.
        args: The arguments of that module.
        ranks: The ranks of the matrices; empty where they are stored whole.
    """
    family, training = base.family, concept.training
    version, architecture, side = _VERSIONS.get(
        (family.name if family else "", base.is_v_prediction),
        ("", "", family.resolution if family else None),
    )
    dim = str(max(ranks)) if len(set(ranks)) == 1 else "Dynamic" if ranks else None
    frequency = {concept.name: dict.fromkeys(concept.phrases, 1)}
    texts: dict[str, Any] = {
        "format": "pt",
        "ss_network_module": module,
        "ss_network_dim": dim,
        "ss_network_alpha": float(max(ranks)) if ranks else None,
        "ss_network_args": json.dumps(dict(args)),
        "ss_base_model_version": version,
        "ss_v2": str(bool(family and family.name == "sd2")),
        "ss_sd_model_name": concept.base_name,
        "ss_output_name": concept.name,
        "ss_learning_rate": training.get("learning_rate"),
        "ss_steps": training.get("steps"),
        "ss_seed": training.get("seed"),
        "ss_resolution": f"({side}, {side})" if side else None,
        "ss_tag_frequency": json.dumps(frequency),
        "ss_training_comment": "Custom Diffusion: keys and values of text cross-attention; the "
        "modifier token is an embedding of its own",
        "sshs_model_hash": _tensor_hash(tensors),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{architecture}/lora" if architecture else None,
        "modelspec.implementation": "diffusers",
        "modelspec.title": concept.name,
        "modelspec.resolution": f"{side}x{side}" if side else None,
        "modelspec.date": concept.created_at,
        "modelspec.trigger_phrase": ", ".join(concept.phrases),
        "modelspec.prediction_type": "v" if base.is_v_prediction else "epsilon",
        "modelspec.merged_from": ", ".join(str(p.get("name", "")) for p in concept.parents),
        "modelspec.usage_hint": "load the embedding of the modifier token as well",
    }
    return {key: str(text) for key, text in texts.items() if text not in (None, "")}


def _tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hash what follows the header of the file that these tensors make."""
    # Copies: matrices may share a factor, which the library refuses.
    data = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
    header = int.from_bytes(data[:_LENGTH_BYTES], "little")
    return hashlib.sha256(memoryview(data)[_LENGTH_BYTES + header :]).hexdigest()
