import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.concept import Concept
from cdcore.formats.lycoris import LYCORIS
from cdcore.formats.tensors.key_names import lora_modules, module_of
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.families import Family
from tests.cdcore.formats.cases import make_concept, write
from tests.cdcore.formats.comfy import run_in_comfyui
from tests.cdcore.formats.real_configs import COMFYUI_CONFIGS

COMFYUI = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="needs COMFYUI_PATH, a checkout"
)
LOAD = """
import torch, comfy.lora, comfy.utils
from safetensors.torch import load_file

class Model:
    class model_config:
        unet_config = task["config"]
    def state_dict(self):
        return dict.fromkeys(task["state"])

# ComfyUI's own map from file names to weights, its loader and its arithmetic.
keys = comfy.lora.model_lora_keys_unet(Model(), {})
patches = comfy.lora.load_lora(load_file(task["file"]), keys)
weights = load_file(task["weights"]) if "weights" in task else {}
made = {}
for key, patch in patches.items():
    if key in weights:
        patched = [(1.0, patch, 1.0, None, None)]
        made[key] = comfy.lora.calculate_weight(patched, weights[key], key)
if made:
    from safetensors.torch import save_file
    save_file(made, task["made"])
result = sorted(patches)
"""
"""The model is no more than what the loader asks of it: its configuration and its key names."""


@pytest.mark.parametrize("which", ["dense", "low_rank", "blocks"])
def test_the_difference_is_stored_exactly(
    which: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    (path,) = write(LYCORIS, concept, kv_base, folder)
    tensors = load_file(path)
    expected = kv_base.layout.split(concept.update.dense())
    modules = lora_modules(kv_base.layout)
    assert path.name == "mycat.safetensors"
    assert set(tensors) == {f"{module}.diff" for module in modules.values()}
    for name, module in modules.items():
        assert torch.equal(tensors[f"{module}.diff"], expected[name])


def test_in_half_precision_it_is_what_a_concept_file_holds(dense: Concept, kv_base: KVBase) -> None:
    (artifact,) = LYCORIS.write(dense, kv_base, torch.float16)
    assert artifact.tensors is not None
    made = torch.cat(list(artifact.tensors.values()))
    assert torch.equal(made, dense.update.dense().half())


def comfyui_name(sgm_or_plain: str) -> str:
    return f"diffusion_model.{sgm_or_plain}"


@COMFYUI
@pytest.mark.slow
def test_comfyui_knows_every_key_of_every_family(family: Family, folder: Path) -> None:
    from cdcore.formats.lora import KOHYA
    from cdcore.formats.tensors.key_names import sgm_names

    base = KVBase.of_family(family)
    (path,) = write(KOHYA, make_concept(base, rank=1), base, folder)
    state = [comfyui_name(sgm) for sgm in sgm_names(family.layout).values()]
    task = {"file": str(path), "config": COMFYUI_CONFIGS[family.name], "state": state}
    assert run_in_comfyui(LOAD, task) == sorted(state)


@COMFYUI
@pytest.mark.slow
@pytest.mark.parametrize("which", ["dense", "low_rank"])
def test_comfyui_adds_the_update_to_its_own_weights(
    which: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    from safetensors.torch import save_file

    from cdcore.formats.lora import KOHYA
    from cdcore.formats.tensors.key_names import sgm_names

    concept: Concept = request.getfixturevalue(which)
    (path,) = write(KOHYA if which == "low_rank" else LYCORIS, concept, kv_base, folder)
    names = {name: comfyui_name(sgm) for name, sgm in sgm_names(kv_base.layout).items()}
    parts = kv_base.layout.split(kv_base.weights)
    save_file({names[n]: part.clone() for n, part in parts.items()}, folder / "base.safetensors")
    task: dict[str, Any] = {
        "file": str(path),
        "config": COMFYUI_CONFIGS["tiny"],
        "state": list(names.values()),
        "weights": str(folder / "base.safetensors"),
        "made": str(folder / "made.safetensors"),
    }
    assert run_in_comfyui(LOAD, task) == sorted(names.values())
    made = load_file(folder / "made.safetensors")
    expected = kv_base.layout.split(kv_base.weights + concept.update.dense())
    for name, weight in expected.items():
        torch.testing.assert_close(made[names[name]], weight, rtol=0, atol=1e-5)
    assert module_of("a.weight") == "a"
