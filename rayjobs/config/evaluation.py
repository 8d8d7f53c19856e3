"""The configuration of an evaluation as a user writes it, and the presets that it starts from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from cdcore.command_line.values import Location
from cdcore.errors import ConfigError
from cdcore.evaluation.methods import ALL_METHODS, Method
from cdcore.merging.settings import DEFAULT_PENALTY

if TYPE_CHECKING:
    from cdcore.evaluation.plan import EvaluationPlan
    from cdcore.evaluation.published_results import Protocol
    from cdcore.model.base import Base

__all__ = ["FIELD_GROUPS", "PRESETS", "EvaluateJob", "Preset", "SamplingSettings"]

T = TypeVar("T")


SolverName = Literal["ddpm", "ddim", "dpm++"]

FIELD_GROUPS = {
    "selection": ("sections", "methods", "limit", "prompts"),
    "sampling": (
        "pictures",
        "drift_pictures",
        "kid_pictures",
        "steps",
        "guidance",
        "sampler",
        "seed",
    ),
    "concepts": ("concepts", "train", "train_steps", "regularization_images", "penalty"),
    "scoring": ("clip", "dino"),
    "cluster": ("workers", "gpus", "output", "cache"),
}
"""Where each optional field stands in the help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """What an evaluation is unless a flag says otherwise; None takes all, or the base's own.

    Attributes:
        limit: Concepts, and twice the pairs.
        prompts: Of each entry.
        pictures: Of each prompt.
        drift_pictures: Of each prompt in plain words.
        kid_pictures: Of captions of real pictures.
        steps: Of the sampler.
        guidance: Scale.
        sampler: Solver.
    """

    limit: int | None = None
    prompts: int | None = None
    pictures: int
    drift_pictures: int = 1
    kid_pictures: int = 0
    steps: int | None = None
    guidance: float | None = None
    sampler: SolverName | None = None


PRESETS = {
    # Kumari et al. 2023, section 4: 1,000 pictures of a concept, KID against 500 real ones.
    "paper": Preset(
        prompts=20,
        pictures=50,
        drift_pictures=5,
        kid_pictures=1000,
        steps=200,
        guidance=6.0,
        sampler="ddpm",
    ),
    # The README of the data set has a table for 200 steps and one for 50, at most 0.003 apart.
    "customconcept101": Preset(
        pictures=5, kid_pictures=100, steps=50, guidance=6.0, sampler="ddpm"
    ),
    "quick": Preset(limit=4, prompts=4, pictures=2, kid_pictures=20),
}
"""By name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingSettings:
    """How every picture of an evaluation is sampled.

    Attributes:
        steps: Network evaluations.
        guidance_scale: At least 1; 1 is off.
        sampler: "ddpm" is "ddim" with fresh noise in every step.
    """

    steps: int
    guidance_scale: float
    sampler: SolverName


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateJob:
    """What to evaluate, and how.

    Raises:
        ConfigError: A setting is impossible.
    """

    dataset: Path
    """Folder in the layout of CustomConcept101, with dataset.json and dataset_multiconcept.json;
    rayjobs/pocket_set.py makes one of the pocket world."""
    base: Location = "sd1.4"
    """Base model: pocket, sd1.4, sd1.5, sdxl, a diffusers folder, one file or a hub id."""
    preset: Literal["paper", "customconcept101", "quick"] = "quick"
    """20 prompts x 50 pictures and KID; 20 x 5; or a few of each, for a small machine."""

    sections: tuple[Literal["single", "pair"], ...] = ("single", "pair")
    """Single concepts, pairs, or both."""
    methods: tuple[Method, ...] = ALL_METHODS
    """What to compare; the base is always sampled, because drift is from its pictures."""
    limit: int | None = None
    """At most so many concepts, and half as many pairs."""
    prompts: int | None = None
    """At most so many prompts of each concept and pair."""

    pictures: int | None = None
    """Of each prompt."""
    drift_pictures: int | None = None
    """Of each prompt in plain words, for the drift; 0 leaves it out."""
    kid_pictures: int | None = None
    """Of captions of real pictures, for each concept; 0 leaves KID out."""
    steps: int | None = None
    """Steps of the sampler."""
    guidance: float | None = None
    """Guidance scale, at least 1 (off)."""
    sampler: SolverName | None = None
    """Solver."""
    seed: int = 0
    """Of the first picture."""

    concepts: Path | None = None
    """Folder of trained concepts, NAME.safetensors or NAME/NAME.safetensors, named as the folders
    of their pictures, those of a pair ONE+OTHER."""
    train: bool = True
    """Train the concepts that are not there."""
    train_steps: int | None = None
    """Optimiser steps of one concept, twice as many for a pair; unset, the base decides."""
    regularization_images: int | None = None
    """Pictures of each class that the base generates for training; unset, the base decides."""
    penalty: float = DEFAULT_PENALTY
    """Of ridge: how much a change on captions weighs against one on a concept."""

    clip: Location | None = None
    """Who scores texts and pictures: judge, or a CLIP as a folder or hub id; unset, the judge for
    a pocket base, else openai/clip-vit-base-patch32."""
    dino: Location | None = None
    """Who scores pictures alone: judge, or a DINO or DINOv2 as a folder or hub id; unset, the judge
    for a pocket base, else facebook/dino-vits16."""

    workers: int = 1
    """Processes that train and sample; one for each GPU on a GPU cluster."""
    gpus: bool | None = None
    """Work on GPUs and wait for those that an autoscaler adds, or on CPUs; default on GPUs where
    the cluster has any."""
    output: Path = Path("runs/evaluation")
    """Folder of cells, pictures and tables; an interrupted evaluation goes on there."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of regularization images, latents and caption statistics, shared by all runs."""

    def __post_init__(self) -> None:
        """Refuse what no later step would."""
        if not self.sections:
            raise ConfigError("--sections is empty, expected single, pair or both")
        least = {
            "limit": 1,
            "prompts": 1,
            "pictures": 1,
            "drift_pictures": 0,
            "kid_pictures": 0,
            "steps": 1,
            "train_steps": 1,
            "workers": 1,
            "seed": 0,
        }
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {value}, expected {lowest} or more")

    @property
    def chosen_limit(self) -> int | None:
        """How many concepts at most."""
        return _given(self.limit, PRESETS[self.preset].limit)

    @property
    def chosen_prompts(self) -> int | None:
        """How many prompts of an entry at most."""
        return _given(self.prompts, PRESETS[self.preset].prompts)

    def plan(self) -> "EvaluationPlan":
        """Return how much is sampled.

        Raises:
            ConfigError: A number is impossible.
        """
        from cdcore.evaluation.plan import EvaluationPlan

        preset = PRESETS[self.preset]
        pictures = _given(self.pictures, preset.pictures)
        return EvaluationPlan(
            methods=self.methods,
            pictures=pictures,
            drift_pictures=_given(self.drift_pictures, min(preset.drift_pictures, pictures)),
            kid_pictures=_given(self.kid_pictures, preset.kid_pictures),
            seed=self.seed,
        )

    def sampling(self, base: "Base") -> SamplingSettings:
        """Return how pictures are sampled: by the flags, the preset, then the base."""
        preset, profile = PRESETS[self.preset], base.profile
        return SamplingSettings(
            steps=_given(_given(self.steps, preset.steps), profile.sampling_steps),
            guidance_scale=_given(_given(self.guidance, preset.guidance), profile.guidance_scale),
            sampler=_given(_given(self.sampler, preset.sampler), profile.sampler),
        )

    def protocol(self, sampling: SamplingSettings) -> "Protocol":
        """Return which published table stands beside the figures.

        Args:
            sampling: As it was resolved.
        """
        if self.preset == "paper":
            return "paper"
        return "200 steps" if sampling.steps >= 100 else "50 steps"


def _given(value: T | None, default: T) -> T:
    return default if value is None else value
