"""Tests of `cdcore.formats.exports.use_page`."""

from pathlib import Path

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.formats.exports.export import export_for_tool, export_for_tools
from cdcore.formats.tensors.families import FAMILIES
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from tests.cdcore.formats.cases import (
    make_concept,
    our_prediction,
    stock_pipeline,
    stock_prediction,
)


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
    base = KVBase.of_family(FAMILIES[2])
    export_for_tools(make_concept(base, rank=1), base, ["diffusers"], folder)
    use = (folder / "diffusers" / "USE.md").read_text()
    assert 'rows["clip_l"], token="<my0>", text_encoder=pipe.text_encoder, ' in use
    assert 'rows["clip_g"], token="<my0>", text_encoder=pipe.text_encoder_2, ' in use
