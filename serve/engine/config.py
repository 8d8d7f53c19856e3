"""How large an engine is: rows, sizes and budgets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdcore.errors import ConfigError
from serve.policies.job import Limits

if TYPE_CHECKING:
    # Settings are read on a command line too, which should not wait for torch.
    from cdcore.model.base import Base

__all__ = ["EngineConfig", "latent_shape", "limits_of", "native_size"]

_GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Settings of an engine.

    Attributes:
        slots: Pictures of the base's own size in one batch; each takes two rows of the U-Net.
            `PictureRequest.deterministic` fills a batch up to this.
        sizes: Other picture sizes that are served, (width, height) in pixels; a batch of larger
            ones has fewer slots.
        backlog: Row-steps that may be admitted and not yet done.
        prompt_bytes: Budget on the device for finished prompts' keys and values.
        device_bytes: Budget on the device for updates.
        host_bytes: Budget in memory for concepts.
        disk_bytes: Budget on the local disk for concept files.
    """

    slots: int = 8
    sizes: tuple[tuple[int, int], ...] = ()
    backlog: int = 20_000
    prompt_bytes: int = _GIB
    device_bytes: int = 2 * _GIB
    host_bytes: int = 8 * _GIB
    disk_bytes: int = 32 * _GIB

    def __post_init__(self) -> None:
        """Refuse what could do nothing.

        Raises:
            ConfigError: A number is too small.
        """
        for name in ("slots", "backlog"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")


def native_size(base: "Base") -> tuple[int, int]:
    """Return the (width, height) that a base was made for."""
    return base.profile.resolution, base.profile.resolution


def latent_shape(base: "Base", size: tuple[int, int]) -> tuple[int, int, int]:
    """Return the shape (C, h, w) of the latents of a picture size."""
    width, height = size
    return base.latent_shape[0], height // base.latent_factor, width // base.latent_factor


def limits_of(base: "Base", config: EngineConfig) -> Limits:
    """Work out how many rows a batch of each size has.

    Raises:
        ConfigError: The base cannot draw a size.
    """
    native = native_size(base)
    unet: Any = base.seam.unet
    levels = len(unet.config.block_out_channels)
    grain = base.latent_factor * 2 ** (levels - 1)
    slots = {native: config.slots}
    for width, height in config.sizes:
        if width < grain or height < grain or width % grain or height % grain:
            raise ConfigError(
                f"size {width}x{height}: expected multiples of {grain} pixels for base "
                f"{base.name!r}"
            )
        share = native[0] * native[1] / (width * height)
        slots[width, height] = max(1, int(config.slots * share))
    return Limits(slots=slots, backlog=config.backlog)
