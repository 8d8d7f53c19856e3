import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.rank_rule import Rule
from cdcore.formats.embedding import EMBEDDING
from cdcore.formats.exports.factored import factored
from cdcore.formats.format import Format
from cdcore.formats.lora import DIFFUSERS_LORA, KOHYA, PEFT_LORA
from cdcore.formats.tensors.key_names import lora_modules, module_of
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from cdcore.model.update import FactoredUpdate
from tests.cdcore.formats.cases import (
    make_concept,
    our_prediction,
    stock_pipeline,
    stock_prediction,
    write,
)
from tests.cdcore.formats.real_configs import UNET_CONFIGS

FORMS = ["low_rank", "blocks", "full_rank"]
EXACT = 1e-5


@pytest.fixture
def concept(request: pytest.FixtureRequest, dense: Concept, kv_base: KVBase) -> Concept:
    """One factored form; of the dense concept all of its energy."""
    if request.param == "full_rank":
        # In float64, so that what is measured is the loader and not half precision.
        blocks = tuple(
            (part.double(), torch.eye(part.shape[1]).double())
            for part in dense.update.dense().split(list(kv_base.layout.widths))
        )
        return replace(dense, update=FactoredUpdate(blocks))
    made: Concept = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("concept", FORMS, indirect=True)
def test_up_times_down_times_alpha_by_rank_is_the_update(
    concept: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(KOHYA, concept, kv_base, folder)
    tensors = load_file(path)
    expected = kv_base.layout.split(concept.update.dense().float())
    for name, product in _products(tensors, kv_base).items():
        torch.testing.assert_close(product, expected[name], rtol=0, atol=EXACT)
    assert not tensors


def _products(tensors: dict[str, Tensor], base: KVBase) -> dict[str, Tensor]:
    """What a reader makes of a kohya file; the tensors it has used are gone."""
    products = {}
    for name, module in lora_modules(base.layout).items():
        up, down = (tensors.pop(f"{module}.lora_{part}.weight") for part in ("up", "down"))
        products[name] = float(tensors.pop(f"{module}.alpha")) / len(down) * up @ down
    return products


def test_alpha_is_one_for_all_because_diffusers_drops_any_other(
    blocks: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(KOHYA, blocks, kv_base, folder)
    alphas = {float(t) for name, t in load_file(path).items() if name.endswith(".alpha")}
    assert alphas == {3.0}


def test_a_dense_update_must_be_compressed_first(dense: Concept, kv_base: KVBase) -> None:
    for format_ in (KOHYA, DIFFUSERS_LORA, PEFT_LORA):
        with pytest.raises(ValueError, match="compress it first"):
            format_.write(dense, kv_base, torch.float32)


@pytest.mark.parametrize("concept", FORMS, indirect=True)
@pytest.mark.parametrize("format_", [KOHYA, DIFFUSERS_LORA], ids=lambda format_: format_.name)
def test_diffusers_loads_our_prediction(
    format_: Format,
    concept: Concept,
    kv_base: KVBase,
    tiny_base: Base,
    tiny_folder: Path,
    folder: Path,
) -> None:
    pytest.importorskip("peft")
    (path,) = write(format_, concept, kv_base, folder / "lora")
    pipeline = stock_pipeline(tiny_folder)
    plain = _loaded(pipeline, concept, kv_base, tiny_base, folder)
    pipeline.load_lora_weights(path.parent, weight_name=path.name)
    made, expected = stock_prediction(pipeline, tiny_base), our_prediction(tiny_base, concept)
    torch.testing.assert_close(made, expected, rtol=0, atol=EXACT)
    assert (made - plain).abs().max() > 1e-2


@pytest.mark.parametrize("concept", FORMS, indirect=True)
def test_peft_loads_our_prediction(
    concept: Concept, kv_base: KVBase, tiny_base: Base, tiny_folder: Path, folder: Path
) -> None:
    peft = pytest.importorskip("peft")
    path, _ = write(PEFT_LORA, concept, kv_base, folder / "lora")
    pipeline = stock_pipeline(tiny_folder)
    plain = _loaded(pipeline, concept, kv_base, tiny_base, folder)
    pipeline.unet = peft.PeftModel.from_pretrained(pipeline.unet, path.parent)
    made, expected = stock_prediction(pipeline, tiny_base), our_prediction(tiny_base, concept)
    torch.testing.assert_close(made, expected, rtol=0, atol=EXACT)
    assert (made - plain).abs().max() > 1e-2


def _loaded(
    pipeline: Any, concept: Concept, kv_base: KVBase, tiny_base: Base, folder: Path
) -> Tensor:
    """Load the embeddings; what is predicted without the update."""
    paths = write(EMBEDDING, concept, kv_base, folder)
    for token, embedding in zip(concept.tokens, paths, strict=True):
        pipeline.load_textual_inversion(embedding, token=token)
    return stock_prediction(pipeline, tiny_base)


@pytest.mark.slow
@pytest.mark.parametrize("format_", [KOHYA, DIFFUSERS_LORA], ids=lambda format_: format_.name)
def test_diffusers_finds_the_place_of_every_matrix_of_sdxl(format_: Format, folder: Path) -> None:
    pytest.importorskip("peft")
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET_CONFIGS["sdxl"])
    base = KVBase.of_family(PUBLISHED_FAMILIES[2])
    concept = make_concept(base, rank=1)
    (path,) = write(format_, concept, base, folder)
    loader: Any = StableDiffusionXLPipeline
    state = loader.lora_state_dict(load_file(path), unet_config=unet.config)[0]
    found = {re.sub(r"^unet\.|\.processor|[._]lora.*", "", key) for key in state}
    assert found == {module_of(name) for name in base.layout.names}


def test_readers_are_told_of_unequal_ranks(blocks: Concept, kv_base: KVBase, folder: Path) -> None:
    _, path = write(PEFT_LORA, blocks, kv_base, folder / "peft")
    config = json.loads(path.read_text())
    first = module_of(kv_base.layout.names[0])
    assert (config["r"], config["lora_alpha"]) == (2, 2)
    assert config["rank_pattern"] == config["alpha_pattern"] == {first: 3}
    (path,) = write(DIFFUSERS_LORA, blocks, kv_base, folder)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["lora_adapter_metadata"])
    assert told["unet.rank_pattern"] == {first: 3}


def test_by_energy_the_file_is_as_near_as_the_report_says(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    made, lost = factored(dense, kv_base.layout, Rule(name="energy", value=0.9))
    assert lost is not None
    (path,) = write(KOHYA, made, kv_base, folder)
    parts = list(_products(load_file(path), kv_base).values())
    difference = (torch.cat(parts) - dense.update.dense()).norm() / dense.update.dense().norm()
    assert float(difference) == pytest.approx(lost.error, rel=1e-3)
    assert float(difference) < (1 - 0.9) ** 0.5 + 1e-3
