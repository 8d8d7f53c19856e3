"""What the HTTP side must know of a base that it does not hold."""

import os
from dataclasses import dataclass
from pathlib import Path

from cdcore.errors import one_line
from cdcore.model.base import Base
from cdcore.model.profiles import SamplerName
from serve.engine.config import EngineConfig, limits_of, native_size

__all__ = ["ServiceFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts:
    """One base, as its engines serve it.

    Attributes:
        base_name: The base's name; of a folder or file the last part, so that no client
            learns a path.
        base_fingerprint: The base's fingerprint, as concept files have it.
        widths: How many rows each matrix of the K/V stack has.
        text_width: How many columns the stack has, and how long a token's row is.
        sizes: (width, height) in pixels of the pictures, the base's own first.
        steps: Network evaluations for each picture where a request says nothing.
        guidance_scale: The guidance scale where a request says nothing.
        sampler: The sampler where a request says nothing.
    """

    base_name: str
    base_fingerprint: str
    widths: tuple[int, ...]
    text_width: int
    sizes: tuple[tuple[int, int], ...]
    steps: int
    guidance_scale: float
    sampler: SamplerName

    @classmethod
    def of(cls, base: Base, config: EngineConfig) -> "ServiceFacts":
        """Ask a base.

        Raises:
            ConfigError: The base cannot draw one of the configured sizes.
        """
        profile, layout = base.profile, base.seam.layout
        return cls(
            base_name=one_line(Path(base.name).name if os.path.exists(base.name) else base.name),
            base_fingerprint=base.fingerprint,
            widths=layout.widths,
            text_width=layout.text_width,
            sizes=tuple(dict.fromkeys((native_size(base), *limits_of(base, config).slots))),
            steps=profile.sampling_steps,
            guidance_scale=profile.guidance_scale,
            sampler=profile.sampler,
        )

    @property
    def dense_bytes(self) -> int:
        """How many bytes a dense update takes in half precision."""
        return 2 * sum(self.widths) * self.text_width
