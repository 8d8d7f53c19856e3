"""Tests of `cdcore.formats.exports.export`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.concept import Concept
from cdcore.errors import UpdateShapeError
from cdcore.formats.exports.export import clear_exports, export_for_tool, export_for_tools
from cdcore.formats.exports.tool_names import TOOLS
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import (
    make_concept,
    our_prediction,
    stock_pipeline,
    stock_prediction,
)

FILES = {
    "comfyui": ["models/loras/mycat.safetensors", "models/embeddings/my0.safetensors"],
    "a1111": ["models/Lora/mycat.safetensors", "embeddings/my0.safetensors"],
    "diffusers": ["mycat.safetensors", "embeddings/my0.safetensors"],
    "peft": ["adapter_model.safetensors", "adapter_config.json", "embeddings/my0.safetensors"],
}


PROMPTS = {
    "comfyui": "embedding:my0 cat on the beach",
    "a1111": "<lora:mycat:1> my0 cat on the beach",
    "diffusers": "<my0> cat on the beach",
    "peft": "<my0> cat on the beach",
}


def test_each_tool_gets_its_folders_and_its_exact_prompt(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    made = export_for_tools(dense, kv_base, TOOLS, folder)
    assert [export.tool for export in made] == list(TOOLS)
    for export in made:
        assert list(export.files) == [*FILES[export.tool], "USE.md"]
        assert export.folder == folder / export.tool
        on_disk = {
            path.relative_to(export.folder).as_posix()
            for path in export.folder.rglob("*")
            if path.is_file()
        }
        assert on_disk == set(export.files)
        use = (export.folder / "USE.md").read_text()
        assert f"    {PROMPTS[export.tool]}\n" in use
        assert all(f"`{file}`" in use for file in FILES[export.tool])


def test_a_dense_update_is_exact_where_the_tool_reads_differences(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    made = {export.tool: export for export in export_for_tools(dense, kv_base, TOOLS, folder)}
    assert made["comfyui"].error == made["a1111"].error == 0
    assert 0 < made["diffusers"].error == made["peft"].error < 0.25
    assert "exact" in (folder / "comfyui" / "USE.md").read_text()
    assert f"{made['peft'].error:.1%}" in (folder / "peft" / "USE.md").read_text()


def test_a_merge_is_exact_and_small_everywhere(
    low_rank: Concept, dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    made = export_for_tools(low_rank, kv_base, TOOLS, folder)
    assert {export.error for export in made} == {0}
    weights = folder / "comfyui" / "models" / "loras" / "mycat.safetensors"
    assert any(name.endswith("lora_up.weight") for name in load_file(weights))
    for tool in TOOLS:
        use = (folder / tool / "USE.md").read_text()
        assert use.count("on the beach") == 2
        assert "wooden pot on the beach" in use


def test_factors_larger_than_the_difference_are_multiplied_out(
    kv_base: KVBase, folder: Path
) -> None:
    concept = make_concept(kv_base, rank=30)
    export_for_tools(concept, kv_base, ["comfyui"], folder)
    weights = folder / "comfyui" / "models" / "loras" / "mycat.safetensors"
    assert all(name.endswith(".diff") for name in load_file(weights))


def test_the_commands_of_use_md_give_our_prediction(
    low_rank: Concept, kv_base: KVBase, tiny_base: Base, tiny_folder: Path, folder: Path
) -> None:
    pytest.importorskip("peft")
    expected = our_prediction(tiny_base, low_rank)
    for tool in ("diffusers", "peft"):
        export_for_tool(low_rank, kv_base, tool, folder / tool, torch.float32)
        lines = (folder / tool / "USE.md").read_text().splitlines()
        code = [line.strip() for line in lines if line.startswith("    ") and "pipe" in line]
        code += [line.strip() for line in lines if line.strip().startswith("from ")]
        names = {"pipe": stock_pipeline(tiny_folder), "FOLDER": str(folder / tool)}
        exec("\n".join(sorted(code)), names)
        made = stock_prediction(names["pipe"], tiny_base)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


def test_sdxl_loads_a_row_into_each_encoder(folder: Path) -> None:
    base = KVBase.of_family(PUBLISHED_FAMILIES[2])
    export_for_tools(make_concept(base, rank=1), base, ["diffusers"], folder)
    use = (folder / "diffusers" / "USE.md").read_text()
    assert 'rows["clip_l"], token="<my0>", text_encoder=pipe.text_encoder, ' in use
    assert 'rows["clip_g"], token="<my0>", text_encoder=pipe.text_encoder_2, ' in use


def test_a_concept_without_a_token_has_no_embedding(kv_base: KVBase, folder: Path) -> None:
    concept = make_concept(kv_base, rank=1, has_tokens=False)
    for export in export_for_tools(concept, kv_base, TOOLS, folder):
        assert not [file for file in export.files if "embeddings" in file]
        assert "cat on the beach" in (export.folder / "USE.md").read_text()


def test_a_name_no_file_can_have_is_changed(kv_base: KVBase, folder: Path) -> None:
    concept = replace(make_concept(kv_base, rank=1), name="a/b: <c>")
    (made,) = export_for_tools(concept, kv_base, ["a1111"], folder)
    assert made.files[0] == "models/Lora/a-b-c.safetensors"
    assert "<lora:a-b-c:1>" in (folder / "a1111" / "USE.md").read_text()


def test_a_concept_of_another_base_is_refused(dense: Concept, folder: Path) -> None:
    with pytest.raises(UpdateShapeError):
        export_for_tools(dense, KVBase.of_family(PUBLISHED_FAMILIES[0]), TOOLS, folder)
    assert not folder.exists()


def test_a_new_export_leaves_nothing_of_an_earlier_one(
    dense: Concept, low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    export_for_tools(replace(low_rank, name="earlier"), kv_base, TOOLS, folder)
    (folder / "a1111" / "notes.md").write_text("kept")
    export_for_tools(dense, kv_base, ["comfyui", "peft"], folder)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == {
        *(f"{tool}/{file}" for tool in ("comfyui", "peft") for file in (*FILES[tool], "USE.md")),
        "a1111/notes.md",
    }
    export_for_tool(dense, kv_base, "diffusers", folder / "comfyui")
    assert not (folder / "comfyui" / "models").exists()
    clear_exports(folder, kept=["peft"])
    assert {path.name for path in folder.iterdir()} == {"a1111", "peft"}
