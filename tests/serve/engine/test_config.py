"""Tests of `serve.engine.config`."""

from dataclasses import replace

import pytest

from cdcore.errors import ConfigError
from cdcore.model.base import Base
from serve.engine.config import EngineConfig, latent_shape, limits_of, native_size


def test_larger_pictures_have_fewer_rows_and_smaller_ones_more(tiny_base: Base) -> None:
    config = EngineConfig(slots=8, sizes=((128, 64), (32, 64), (256, 256)))
    limits = limits_of(tiny_base, config)
    assert limits.slots == {(64, 64): 8, (128, 64): 4, (32, 64): 16, (256, 256): 1}
    assert native_size(tiny_base) == (64, 64)


def test_the_shape_of_latents_follows_width_and_height(tiny_base: Base) -> None:
    assert latent_shape(tiny_base, (64, 64)) == tiny_base.latent_shape
    assert latent_shape(tiny_base, (128, 64)) == (4, 8, 16)


@pytest.mark.parametrize("name", ["slots", "backlog"])
def test_settings_that_could_do_nothing_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        replace(EngineConfig(), **{name: 0})  # type: ignore[arg-type]


def test_sizes_the_unet_cannot_halve_are_refused(tiny_base: Base) -> None:
    with pytest.raises(ConfigError, match="72x64: expected multiples of 16"):
        limits_of(tiny_base, EngineConfig(sizes=((72, 64),)))
