import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError
from cdcore.formats.embedding import EMBEDDING, embedding_stems
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import make_concept, stock_pipeline, write
from tests.cdcore.formats.comfy import run_in_comfyui


def test_each_token_is_a_file_with_one_tensor(
    low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(EMBEDDING, low_rank, kv_base, folder)
    assert [path.name for path in paths] == ["my0.safetensors", "my1.safetensors"]
    assert embedding_stems(low_rank) == {"<my0>": "my0", "<my1>": "my1"}
    for path, row in zip(paths, low_rank.tokens.values(), strict=True):
        tensors = load_file(path)
        assert list(tensors) == ["emb_params"]
        assert torch.equal(tensors["emb_params"], row.unsqueeze(0))


def test_two_encoders_have_two_tensors(folder: Path) -> None:
    base = KVBase.of_family(PUBLISHED_FAMILIES[2])
    concept = make_concept(base, rank=1)
    (path,) = write(EMBEDDING, concept, base, folder)
    tensors = load_file(path)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "clip_l": (1, 768),
        "clip_g": (1, 1280),
    }
    both = torch.cat([tensors["clip_l"], tensors["clip_g"]], dim=1)[0]
    assert torch.equal(both, concept.tokens["<my0>"])


def test_diffusers_knows_the_word_after_loading_it(
    dense: Concept, kv_base: KVBase, tiny_folder: Path, folder: Path
) -> None:
    (path,) = write(EMBEDDING, dense, kv_base, folder)
    pipeline = stock_pipeline(tiny_folder)
    pipeline.load_textual_inversion(path, token="<my0>")
    id_ = pipeline.tokenizer.convert_tokens_to_ids("<my0>")
    row = pipeline.text_encoder.get_input_embeddings().weight[id_]
    assert torch.equal(row, dense.tokens["<my0>"])


def test_without_a_token_there_is_nothing_to_write(kv_base: KVBase) -> None:
    concept = make_concept(kv_base, has_tokens=False)
    with pytest.raises(ConfigError, match="no modifier token"):
        EMBEDDING.write(concept, kv_base, torch.float32)


@pytest.mark.slow
@pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="needs COMFYUI_PATH, a checkout")
@pytest.mark.parametrize("number", [0, 2])
def test_comfyui_finds_the_row_by_the_file_s_name(number: int, folder: Path) -> None:
    family = PUBLISHED_FAMILIES[number]
    base = KVBase.of_family(family)
    concept = make_concept(base, rank=1)
    write(EMBEDDING, concept, base, folder)
    script = """
from comfy.sd1_clip import load_embed
folder, widths = task["folder"], task["widths"]
keys = ["clip_l", "clip_g"]
result = [load_embed("my0", [folder], w, k).tolist() for w, k in zip(widths, keys)]
"""
    task = {"folder": str(folder), "widths": family.encoder_widths}
    rows: Any = run_in_comfyui(script, task)
    found = torch.cat([torch.tensor(part[0]) for part in rows])
    assert torch.equal(found, concept.tokens["<my0>"])
