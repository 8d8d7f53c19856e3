"""The configuration of the training job as a user writes it, and how it is resolved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cdcore.command_line.values import Location
from cdcore.concepts.subject import Subject
from cdcore.errors import ConfigError
from cdcore.model.profiles import check_resolution
from cdcore.registry.entry import check_name
from cdcore.training.config import (
    FORMER_WEIGHTINGS,
    PriorWeighting,
    SubjectConfig,
    TrainingConfig,
)
from cdcore.training.initializer_tokens import initializer_tokens
from rayjobs.config.concept_source import ConceptSource

if TYPE_CHECKING:
    from cdcore.model.base import Base
    from cdcore.model.profiles import Profile

__all__ = ["FIELD_GROUPS", "STAND_INS", "TrainJob", "configured", "resolve"]


FIELD_GROUPS = {
    "model": ("vae", "resolution", "precision"),
    "concept": ("modifier_token", "initializer_token", "regularization", "holdout"),
    "joint": ("train", "concepts"),
    "training": (
        "steps",
        "rows_per_step",
        "learning_rate",
        "regularization_ratio",
        "regularization_images",
        "prior_weight",
        "prior_weighting",
        "update_rank",
        "variants",
        "augment",
        "flip",
        "seed",
    ),
    "cluster": ("workers", "gpus", "zero_stage", "checkpoint_every"),
    "results": (
        "output",
        "cache",
        "registry",
        "sample_seeds",
        "export",
        "overwrite",
        "dry_run",
        "tflops",
    ),
}
"""Where each optional field stands in the help."""

STAND_INS = {"concepts": ("images", "class_noun")}
"""A field, and the required ones that need not be given with it."""

TrainingPrecision = Literal["auto", "bf16", "fp32"]
"""Half precision of the other kind (fp16) would lose small gradients: nothing here scales them."""

_OF_ONE = ("images", "class_noun", "modifier_token", "initializer_token", "regularization")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJob:
    """What a user may set; None takes the base's own default."""

    RENAMED_VALUES: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "prior_weighting": FORMER_WEIGHTINGS
    }

    images: Path | None
    """Folder, or zip archive, with 4 to 20 pictures of the concept; for several see --concepts."""
    class_noun: str | None
    """What kind of thing it is, such as cat."""
    name: str
    """Name of the concept, of its run and of its file."""
    base: Location = "sd1.4"
    """Base model: pocket, sd1.4, sd1.5, sdxl, a diffusers folder, a checkpoint in one file or a
    hub id."""

    vae: Location | None = None
    """Autoencoder in place of the base's own: a folder, one file, or a hub id."""
    resolution: int | None = None
    """Side of the pictures in pixels, a multiple of 64; default what the base was trained on."""
    precision: TrainingPrecision = "auto"
    """What the U-Net computes in; default bf16 on a GPU, fp32 on a CPU."""

    modifier_token: str | None = None
    """Word that prompts name the concept by; default <NAME>. 'none' teaches the class noun."""
    initializer_token: str | None = None
    """Existing word that the modifier token starts from; default a rare one (ktn) on Stable
    Diffusion, and the class noun on the pocket base."""
    regularization: Path | None = None
    """Folder of real pictures of the class, in place of generated ones, with their captions: one
    on each line of caption.txt, in the order of the pictures' names, or a .txt beside each."""
    holdout: int = 0
    """Pictures, the last by name, that are scored against but not trained on."""

    train: Literal["single", "joint"] = "single"
    """Teach one concept, or those of --concepts together: one file with a token for each."""
    concepts: tuple[ConceptSource, ...] = ()
    """Of joint training, in place of --images and --class-noun: such as
    images=photos/tom,class_noun=cat images=photos/seat,class_noun=chair. Further keys: name (the
    token is <NAME>; default the folder's), modifier_token, initializer_token, regularization."""

    steps: int | None = None
    """Optimiser steps; default 250 on Stable Diffusion 1, 500 for joint training."""
    rows_per_step: int | None = None
    """Target and regularization rows of one step, over all workers; default 8."""
    learning_rate: float | None = None
    """Of everything that trains, never scaled; default 8e-5 on Stable Diffusion 1."""
    regularization_ratio: float | None = None
    """Regularization rows for each target row, 0 for none; default 1 on Stable Diffusion 1."""
    regularization_images: int | None = None
    """Pictures of each class, which the base generates once, or the first of a folder of
    --regularization; default 200."""
    prior_weight: float | None = None
    """Factor on the loss of regularization rows; default 1 on Stable Diffusion 1."""
    prior_weighting: PriorWeighting = "mean"
    """What a prior weight of 1 means: each row counts by its mean, as in the paper's code, or rows
    of the concept count four times, as in the diffusers scripts."""
    update_rank: int | None = None
    """Rank of each matrix of the update, 0 for none: then it trains whole. Default 0, 32 on Stable
    Diffusion XL."""
    variants: int | None = None
    """Augmented variants of each picture whose latents are cached; default 40."""
    augment: bool = True
    """Show the pictures in varying size and place, as the paper's code does."""
    flip: bool | None = None
    """Show them mirrored half of the time; not for writing or faces. Default yes on Stable
    Diffusion 1."""
    seed: int = 0
    """Of every random draw."""

    workers: int = 1
    """Training processes; one for each GPU on a GPU cluster."""
    gpus: bool | None = None
    """Train on GPUs and wait for those that an autoscaler adds, or on CPUs; default on GPUs where
    the cluster has any."""
    zero_stage: Literal[0, 1, 2] = 0
    """DeepSpeed ZeRO stage."""
    checkpoint_every: int = 10
    """Steps between checkpoints."""

    output: Path = Path("runs")
    """Folder of runs."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of regularization images and latents, shared by all runs."""
    registry: Location | None = None
    """Folder, or URI such as s3://bucket/concepts, in which the finished concept is published."""
    sample_seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the before/after pictures."""
    export: str | None = None
    """Tools to write files for into exports/: comfyui,a1111,diffusers,peft, or 'all' or 'none';
    default all, and none for a pocket base."""
    overwrite: bool = False
    """Delete a run of the same name first."""
    dry_run: bool = False
    """Print the resolved configuration, and the memory, work and time it will take; do nothing."""
    tflops: float | None = None
    """TFLOP/s that a worker sustains, for the time of a dry run; default measured here."""

    def __post_init__(self) -> None:
        """Refuse what no base could make sense of."""
        if not self.name or not all(part.isalnum() or part in "-_" for part in self.name):
            raise ConfigError(
                f"name is {self.name!r}; expected letters, digits, '-' or '_', such as mycat"
            )
        if self.registry is not None:
            check_name(self.name)
        for field, least in (("workers", 1), ("checkpoint_every", 1), ("holdout", 0)):
            if getattr(self, field) < least:
                raise ConfigError(f"{field} is {getattr(self, field)}, expected {least} or more")
        if self.resolution is not None:
            check_resolution(self.resolution)
        if self.tflops is not None and not 0 < self.tflops < 1e6:
            raise ConfigError(f"tflops is {self.tflops}, expected more than 0")
        if not self.sample_seeds or not all(0 <= seed < 2**64 for seed in self.sample_seeds):
            raise ConfigError(
                f"sample_seeds is {list(self.sample_seeds)}, expected one or more whole numbers "
                "of at least 0"
            )
        self._check_concepts()

    @property
    def sources(self) -> tuple[ConceptSource, ...]:
        """What is taught, at least one."""
        if self.concepts:
            return self.concepts
        assert self.images is not None
        assert self.class_noun is not None
        return (
            ConceptSource(
                images=self.images,
                class_noun=self.class_noun,
                name=self.name,
                modifier_token=self.modifier_token,
                initializer_token=self.initializer_token,
                regularization=self.regularization,
            ),
        )

    def _check_concepts(self) -> None:
        if self.concepts and self.train != "joint":
            raise ConfigError(
                f"concepts lists {len(self.concepts)}, expected 'train: joint' with it (--train "
                "joint), which teaches them together"
            )
        given = [name for name in _OF_ONE if getattr(self, name) is not None]
        if self.concepts and given:
            raise ConfigError(
                f"{' and '.join(given)} cannot stand beside concepts; write it into the entries"
            )
        if self.train == "joint" and not self.concepts:
            raise ConfigError(
                "joint training needs concepts: a list with images and class_noun of each"
            )
        missing = [name for name in ("images", "class_noun") if getattr(self, name) is None]
        if missing and not self.concepts:
            raise ConfigError(
                f"{' and '.join(missing)} must be given, or concepts to train jointly"
            )


def resolve(job: TrainJob, base: "Base") -> TrainingConfig:
    """Fill in the base's defaults, and check the words against its tokenizer.

    Raises:
        ConfigError: A value is impossible.
        TokenError: The tokenizer cannot use the class noun or a token.
    """
    return configured(job, base.profile, base.text_encoder.word_ids)


def configured(
    job: TrainJob, profile: "Profile", check_word: Callable[[str], object]
) -> TrainingConfig:
    """Fill in the defaults of a profile, and check the words.

    Args:
        job: As the user wrote it.
        profile: The settings that suit the base.
        check_word: Refuses a word that the base's tokenizer cannot use.

    Raises:
        ConfigError: A value is impossible.
        TokenError: The tokenizer cannot use the class noun or a token.
    """
    plain = [Subject(class_noun=one.class_noun.strip(), token=one.token) for one in job.sources]
    words = initializer_tokens(profile, plain, [one.initializer_token for one in job.sources])
    subjects = tuple(
        SubjectConfig(class_noun=one.class_noun, token=one.token, initializer_token=word)
        for one, word in zip(plain, words, strict=True)
    )
    config = TrainingConfig.of_profile(
        profile,
        name=job.name,
        subjects=subjects,
        steps=job.steps,
        rows_per_step=job.rows_per_step,
        learning_rate=job.learning_rate,
        regularization_ratio=job.regularization_ratio,
        regularization_images=job.regularization_images,
        prior_weight=job.prior_weight,
        prior_weighting=job.prior_weighting,
        update_rank=job.update_rank,
        variants=job.variants,
        augment=job.augment,
        flip=job.flip,
        seed=job.seed,
    )
    for subject in subjects:
        for word in (subject.class_noun, subject.initializer_token):
            check_word(word)
    if config.regularization_rows == 0 and any(one.regularization for one in job.sources):
        raise ConfigError(
            "regularization names a folder, but no step has a row for its pictures at "
            f"regularization_ratio {config.regularization_ratio:g}; leave one of them out"
        )
    if job.workers > config.rows_per_step:
        raise ConfigError(
            f"{job.workers} workers for {config.rows_per_step} rows_per_step: some would have no "
            f"row; give at most {config.rows_per_step} workers, or more rows"
        )
    return config
