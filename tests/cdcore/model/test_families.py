from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import CLIPTextConfig

from cdcore.model.families import (
    FAMILIES,
    POCKET,
    PUBLISHED_FAMILIES,
    SD1,
    Family,
    family_of,
    family_of_layout,
    family_of_width,
)
from cdcore.model.seam import KVLayout
from tests.cdcore.formats.real_configs import UNET_CONFIGS

by_family = pytest.mark.parametrize("family", PUBLISHED_FAMILIES, ids=lambda one: one.name)


@pytest.mark.slow
@by_family
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
    found = next(family for family in PUBLISHED_FAMILIES if family.name == name)
    assert len(found.layout.names) == matrices
    assert found.layout.shape == shape
    assert shape[0] * shape[1] == values


@by_family
def test_the_encoders_side_by_side_are_the_text_width(family: Family) -> None:
    assert sum(family.encoder_widths) == family.layout.text_width


@by_family
def test_a_family_is_found_by_its_layout_and_by_its_width(family: Family) -> None:
    assert family_of_layout(family.layout) is family
    assert family_of_width(family.layout.text_width) is family
    other = KVLayout(names=("a",), widths=(3,), text_width=family.layout.text_width)
    assert family_of_layout(other) is None
    assert family_of_width(32) is None


def test_the_pocket_s_layout_is_that_of_its_network() -> None:
    from cdcore.pocket.networks.architecture import build_unet

    assert KVLayout.of(build_unet()) == POCKET.layout
    assert family_of_layout(POCKET.layout) is None, "no other program knows it"


def test_each_family_has_a_name_of_its_own() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("text_width", "words", "name"),
    [
        (768, 49_408, "sd1"),
        (768, 49_410, "sd1"),
        (1024, 49_408, "sd2"),
        (2048, 49_408, "sdxl"),
        (32, 49_408, "sd1"),
        (128, 766, "pocket"),
        (32, 4096, "pocket"),
    ],
)
@pytest.mark.parametrize("latent_side", [8, 16, 64])
def test_a_base_is_of_the_family_that_its_words_and_its_width_tell_at_any_latent_side(
    text_width: int, words: int, name: str, latent_side: int
) -> None:
    unet = SimpleNamespace(cross_attention_dim=text_width, sample_size=latent_side)
    assert family_of(unet, CLIPTextConfig(vocab_size=words)).name == name


def test_what_no_table_knows_has_the_settings_of_stable_diffusion_1() -> None:
    unet = SimpleNamespace(cross_attention_dim=32)
    assert family_of(unet, CLIPTextConfig(vocab_size=49_408)) is SD1
