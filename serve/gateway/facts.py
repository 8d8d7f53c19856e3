"""What the HTTP side must know of a base that it does not hold."""

from dataclasses import dataclass
from pathlib import Path

from cdcore.model.base import Base
from cdcore.model.profiles import SamplerName
from serve.engine.config import EngineConfig, limits_of, native_size

__all__ = ["ServiceFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFacts:
    """Of one base, as its engines serve it.

    Attributes:
        base_name: A folder's last part, so that no client learns a path.
        base_fingerprint: As concept files have it.
        widths: Rows of each matrix of the K/V stack.
        text_width: Columns of the stack, and length of a token's row.
        sizes: (width, height) in pixels of the pictures, the base's own first.
        steps: Network evaluations where a request says nothing.
        max_steps: The most there can be.
        guidance_scale: Where a request says nothing.
        sampler: Where a request says nothing.
        slots: Pictures of the base's own size in one batch.
        max_pictures: Of one request.
        max_concepts: Of one request.
    """

    base_name: str
    base_fingerprint: str
    widths: tuple[int, ...]
    text_width: int
    sizes: tuple[tuple[int, int], ...]
    steps: int
    max_steps: int
    guidance_scale: float
    sampler: SamplerName
    slots: int
    max_pictures: int
    max_concepts: int

    @classmethod
    def of(cls, base: Base, config: EngineConfig) -> "ServiceFacts":
        """Ask a base.

        Raises:
            ConfigError: It cannot draw one of the configured sizes.
        """
        profile, layout = base.profile, base.seam.layout
        return cls(
            base_name=Path(base.name).name if Path(base.name).is_dir() else base.name,
            base_fingerprint=base.fingerprint,
            widths=layout.widths,
            text_width=layout.text_width,
            sizes=tuple(dict.fromkeys((native_size(base), *limits_of(base, config).slots))),
            steps=profile.sampling_steps,
            max_steps=base.noise_schedule.alphas_cumprod.numel(),
            guidance_scale=profile.guidance_scale,
            sampler=profile.sampler,
            slots=config.slots,
            max_pictures=config.max_pictures,
            max_concepts=config.max_concepts,
        )

    @property
    def dense_bytes(self) -> int:
        """Size of a dense update in half precision."""
        return 2 * sum(self.widths) * self.text_width
