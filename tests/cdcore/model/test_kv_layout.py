"""Tests of `cdcore.model.kv_layout`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from cdcore.errors import BaseModelError, UpdateShapeError
from cdcore.model.base import Base
from cdcore.model.kv_layout import KVLayout, text_attentions
from tests.cdcore.model.test_seam import plain_unet
from tests.tiny import random_update


def test_the_stack_is_a_copy_that_nothing_trains(tiny_folder: Path) -> None:
    unet = plain_unet(tiny_folder)
    layout = KVLayout.of(unet)
    stack = layout.stack(unet)
    assert all(unet.get_parameter(name).requires_grad for name in layout.names)
    assert not stack.requires_grad
    before = stack.clone()
    with torch.no_grad():
        unet.get_parameter(layout.names[0]).zero_()
    assert torch.equal(stack, before)


def test_the_stack_holds_key_before_value_layer_by_layer(tiny_base: Base) -> None:
    seam, layout = tiny_base.seam, tiny_base.seam.layout
    assert all(name.endswith(".attn2.to_k.weight") for name in layout.names[::2])
    assert all(name.endswith(".attn2.to_v.weight") for name in layout.names[1::2])
    assert layout.shape == tuple(seam.stack.shape) == (sum(layout.widths), layout.text_width)
    for name, part in layout.split(seam.stack).items():
        assert torch.equal(part, seam.unet.get_parameter(name))


def test_factors_of_other_matrices_are_refused(tiny_base: Base) -> None:
    layout = tiny_base.seam.layout
    layout.check(random_update(layout.shape, rank=2, widths=layout.widths))
    merged = (layout.widths[0] + layout.widths[1], *layout.widths[2:])
    with pytest.raises(UpdateShapeError, match="whose rows are not"):
        layout.check(random_update(layout.shape, rank=2, widths=merged))


def test_a_network_without_text_attention_has_none() -> None:
    assert list(text_attentions(nn.Linear(2, 2))) == []
    with pytest.raises(BaseModelError, match="expected exactly one"):
        KVLayout.of(nn.Linear(2, 2))


def test_families_and_layouts_are_known_without_torch() -> None:
    script = (
        "import sys, cdcore.model.families, cdcore.model.base_files; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout.strip() == "False"
