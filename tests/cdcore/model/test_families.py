from dataclasses import replace
from typing import Any

import pytest
import torch

from cdcore.model.families import (
    FAMILIES,
    POCKET,
    PUBLISHED_FAMILIES,
    Family,
    family_of,
    family_of_layout,
    family_of_width,
    profile_of,
)
from cdcore.model.kv_layout import KVLayout
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


SIZES = {"addition_embed_type": "text_time"}
OPENAI, OPEN_CLIP = {"hidden_act": "quick_gelu"}, {"hidden_act": "gelu"}


@pytest.mark.parametrize(
    ("unet", "texts", "name"),
    [
        ({}, [OPENAI], "sd1"),
        ({}, [{"vocab_size": 49_408}], "sd1"),
        ({}, [OPENAI | {"vocab_size": 49_410}], "sd1"),
        ({}, [OPEN_CLIP], "sd2"),
        (SIZES, [OPENAI, OPEN_CLIP], "sdxl"),
        ({}, [OPENAI | {"vocab_size": 766}], "pocket"),
        ({}, [{"vocab_size": 4096}], "pocket"),
        ({}, [], "sd1"),
    ],
)
@pytest.mark.parametrize("latent_side", [8, 16, 64])
@pytest.mark.parametrize("text_width", [32, 768, 1024, 2048])
def test_a_family_is_told_by_what_reads_and_what_is_read_and_by_no_size(
    unet: dict[str, Any],
    texts: list[dict[str, Any]],
    name: str,
    latent_side: int,
    text_width: int,
) -> None:
    shaped = unet | {"sample_size": latent_side, "cross_attention_dim": text_width}
    assert family_of(shaped, texts).name == name


@by_family
def test_the_resolution_is_what_the_configuration_says(family: Family) -> None:
    autoencoder = {"block_out_channels": [128, 256, 512, 512]}
    for cells in (8, 64, 96, 128):
        profile = profile_of(family, {"sample_size": cells}, autoencoder)
        assert profile.resolution == 8 * cells
        assert replace(profile, resolution=0) == replace(family.profile, resolution=0)
    assert profile_of(family, {}, autoencoder) is family.profile
    assert profile_of(family, {"sample_size": [64, 96]}, autoencoder) is family.profile
    own = {"sample_size": family.resolution // 8}
    assert profile_of(family, own, autoencoder) is family.profile
