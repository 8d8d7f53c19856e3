import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from cdcore.concepts.concept import Concept
from cdcore.formats.lora import KOHYA
from cdcore.formats.lora_metadata import lora_metadata
from cdcore.formats.lycoris import LYCORIS
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import make_concept, write


def texts(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize(
    ("number", "is_v", "version", "architecture"),
    [
        (0, False, "sd_v1", "stable-diffusion-v1"),
        (1, False, "sd_v2", "stable-diffusion-v2-512"),
        (1, True, "sd_v2_v", "stable-diffusion-v2-768-v"),
        (2, False, "sdxl_base_v1-0", "stable-diffusion-xl-v1-base"),
    ],
)
def test_tools_file_it_under_its_base(
    number: int, is_v: bool, version: str, architecture: str
) -> None:
    base = replace(KVBase.of_family(PUBLISHED_FAMILIES[number]), is_v_prediction=is_v)
    concept = make_concept(base, rank=1)
    made = lora_metadata(concept, base, {"a": torch.ones(2)}, module="m", args={}, ranks=[1])
    assert made["ss_base_model_version"] == version
    assert made["ss_v2"] == str(number == 1)
    assert made["modelspec.architecture"] == f"{architecture}/lora"
    assert made["modelspec.prediction_type"] == ("v" if is_v else "epsilon")
    side = 1024 if number == 2 else 768 if is_v else 512
    assert made["modelspec.resolution"] == f"{side}x{side}"


def test_it_says_what_it_is_and_how_to_call_it(
    low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    concept = replace(low_rank, parents=({"name": "one"}, {"name": "two"}))
    made = texts(write(KOHYA, concept, kv_base, folder)[0])
    assert made["ss_network_module"] == "networks.lora"
    assert (made["ss_network_dim"], made["ss_network_alpha"]) == ("3", "3.0")
    assert made["ss_output_name"] == made["modelspec.title"] == "mycat"
    assert made["modelspec.trigger_phrase"] == "<my0> cat, <my1> wooden pot"
    assert made["modelspec.merged_from"] == "one, two"
    assert (made["ss_steps"], made["ss_learning_rate"]) == ("250", "8e-05")
    assert list(json.loads(made["ss_tag_frequency"])["mycat"]) == list(concept.phrases)
    assert made["modelspec.sai_model_spec"] == "1.0.1"
    # A tiny base is of no family: nothing is claimed about it.
    assert "ss_base_model_version" not in made
    assert "modelspec.architecture" not in made


def test_stored_whole_it_has_no_rank_and_unequal_ranks_have_no_one_number(
    dense: Concept, blocks: Concept, kv_base: KVBase, folder: Path
) -> None:
    whole = texts(write(LYCORIS, dense, kv_base, folder)[0])
    assert "ss_network_dim" not in whole
    assert json.loads(whole["ss_network_args"]) == {"algo": "full"}
    assert texts(write(KOHYA, blocks, kv_base, folder)[0])["ss_network_dim"] == "Dynamic"


def test_the_hash_is_that_of_the_tensor_bytes(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(LYCORIS, dense, kv_base, folder)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert texts(path)["sshs_model_hash"] == hashlib.sha256(data[start:]).hexdigest()
