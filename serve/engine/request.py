"""What a client asks of the engine, and what the client hears in answer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from cdcore.errors import ConfigError, CustomDiffusionError
from cdcore.model.profiles import SamplerName
from serve.concepts.mix import ConceptMix

__all__ = [
    "MAX_CONCEPTS",
    "Done",
    "Event",
    "Failed",
    "Picture",
    "PictureRequest",
    "Preview",
    "Sink",
]

MAX_CONCEPTS = 8
"""Concepts in one request."""
_MAX_PICTURES = 10
"""Pictures in one request."""
_MAX_PREVIEWS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """Some pictures of one prompt.

    Attributes:
        prompt: The text to draw, which may name the modifier tokens of the concepts.
        seeds: One number in [0, 2**64) for each picture, at most 10.
        steps: Network evaluations for each picture.
        guidance_scale: A number of at least 1; 1 is off, and halves the work.
        sampler: The solver of the sampling equation.
        eta: Share of fresh noise per step, "ddim" only.
        negative_prompt: What guidance leads away from.
        mix: The concepts and their weights, at most 8.
        size: (width, height) in pixels, or None for the base's own.
        client: Who asks; clients get equal shares.
        deadline_s: Seconds from now until all must be done, or None.
        deterministic: Run in a batch of fixed size, so that no bit depends on other requests.
        previews: Pictures on the way, evenly spread over the steps, 0 to 10.

    Raises:
        ConfigError: A setting is out of range.
    """

    prompt: str
    seeds: tuple[int, ...]
    steps: int
    guidance_scale: float
    sampler: SamplerName = "dpm++"
    eta: float = 0.0
    negative_prompt: str = ""
    mix: ConceptMix = field(default_factory=ConceptMix)
    size: tuple[int, int] | None = None
    client: str = ""
    deadline_s: float | None = None
    deterministic: bool = False
    previews: int = 0

    def __post_init__(self) -> None:
        """Refuse what neither the plan nor the scheduler would."""
        if not self.seeds or not all(0 <= seed < 2**64 for seed in self.seeds):
            raise ConfigError(
                f"seeds are {self.seeds[:4]}, expected one or more numbers from 0 to 2**64 - 1"
            )
        if not 1 <= self.guidance_scale < math.inf:
            raise ConfigError(
                f"guidance_scale is {self.guidance_scale}, expected a number of at least 1 (off)"
            )
        if not 0 <= self.previews <= _MAX_PREVIEWS:
            raise ConfigError(f"previews is {self.previews}, expected 0 to {_MAX_PREVIEWS}")
        if self.deadline_s is not None and not 0 < self.deadline_s < math.inf:
            raise ConfigError(f"deadline_s is {self.deadline_s}, expected seconds above 0")
        for name, count, most in (
            ("pictures", len(self.seeds), _MAX_PICTURES),
            ("concepts", len(self.mix.parts), MAX_CONCEPTS),
        ):
            if count > most:
                raise ConfigError(f"{count} {name} are asked for, at most {most} at once")

    @property
    def preview_steps(self) -> frozenset[int]:
        """After how many steps a preview is due."""
        count = self.previews + 1
        due = {round(self.steps * number / count) for number in range(1, count)}
        return frozenset(due - {0, self.steps})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preview:
    """A picture on its way.

    Attributes:
        number: Which picture of the request.
        step: How many steps are done.
        pixels: (3, h, w) float32 in [-1, 1] on the CPU, one pixel for each latent cell.
    """

    number: int
    step: int
    pixels: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A finished picture.

    Attributes:
        number: Which picture of the request.
        seed: The number that its noise was made of.
        pixels: (3, H, W) float32 in [-1, 1] on the CPU.
    """

    number: int
    seed: int
    pixels: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """All pictures of a request are finished; nothing follows.

    Attributes:
        residuals: What the merge reports of its errors; empty without a merge.
        found_free_row: Whether a row was free and nobody waited when the request came.
        turns_waited: How many turns of the engine ended before the request's first row joined.
        waited_s: Seconds until the request's first row joined.
    """

    residuals: Mapping[str, float]
    found_free_row: bool
    turns_waited: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A request has failed; nothing follows."""

    error: CustomDiffusionError


Event = Preview | Picture | Done | Failed

Sink = Callable[[Event], None]
"""The engine's thread calls a sink, so it must return at once; one that raises has its request
cancelled."""
