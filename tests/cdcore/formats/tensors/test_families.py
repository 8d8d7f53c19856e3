from typing import Any

import pytest
import torch

from cdcore.formats.tensors.families import FAMILIES, Family, family_of_layout, family_of_width
from cdcore.model.seam import KVLayout
from tests.cdcore.formats.real_configs import UNET_CONFIGS


@pytest.mark.slow
def test_layouts_are_those_of_the_real_networks(family: Family) -> None:
    from diffusers import UNet2DConditionModel

    config: dict[str, Any] = UNET_CONFIGS[family.name]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    assert KVLayout.of(unet) == family.layout


@pytest.mark.parametrize(
    ("name", "matrices", "shape", "values"),
    [
        ("sd1", 32, (24_960, 768), 19_169_280),
        ("sd2", 32, (24_960, 1024), 25_559_040),
        ("sdxl", 140, (166_400, 2048), 340_787_200),
    ],
)
def test_sizes_are_the_published_ones(
    name: str, matrices: int, shape: tuple[int, int], values: int
) -> None:
    found = next(family for family in FAMILIES if family.name == name)
    assert len(found.layout.names) == matrices
    assert found.layout.shape == shape
    assert shape[0] * shape[1] == values


def test_the_encoders_side_by_side_are_the_text_width(family: Family) -> None:
    assert sum(family.encoder_widths) == family.layout.text_width


def test_a_family_is_found_by_its_layout_and_by_its_width(family: Family) -> None:
    assert family_of_layout(family.layout) is family
    assert family_of_width(family.layout.text_width) is family
    other = KVLayout(names=("a",), widths=(3,), text_width=family.layout.text_width)
    assert family_of_layout(other) is None
    assert family_of_width(32) is None
