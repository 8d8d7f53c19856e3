"""The resolved configuration of one training run: every value decided, nothing left to defaults."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from cdcore.concepts.subject import Subject
from cdcore.errors import ConfigError, TokenError

if TYPE_CHECKING:
    from cdcore.model.profiles import Profile

__all__ = ["FORMER_WEIGHTINGS", "PriorWeighting", "SubjectConfig", "TrainingConfig"]

PriorWeighting = Literal["mean", "four_to_one"]
"""``mean``: both kinds of rows count by their per-element mean, alike as in the code of the paper.
``four_to_one``: target rows count four times, as in the diffusers scripts, which sum their loss
over the four latent channels and take the mean of the others."""

FORMER_WEIGHTINGS = {"reference": "four_to_one"}
"""What earlier versions called a weighting, and its name."""

_FOURFOLD = 4.0
_OF_PROFILE = (
    "rows_per_step",
    "learning_rate",
    "regularization_ratio",
    "regularization_images",
    "prior_weight",
    "variants",
    "flip",
    "update_rank",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectConfig(Subject):
    """One subject of a training run.

    Attributes:
        initializer_token: The word whose embedding the modifier token starts from.
    """

    initializer_token: str

    @property
    def instance_prompt(self) -> str:
        """The prompt of its target rows, before an augmentation's prefix."""
        return f"photo of a {self.phrase}"

    @property
    def class_prompt(self) -> str:
        """The prompt of its regularization rows."""
        return f"photo of a {self.class_noun}"

    @property
    def plain(self) -> Subject:
        """What a concept file says of it."""
        return Subject(class_noun=self.class_noun, token=self.token)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """What training depends on; equal configurations and pictures give equal concepts.

    Attributes:
        name: The name of the concept.
        subjects: What it teaches, at least one; several are trained together, with equally many
            rows each.
        steps: Optimiser steps.
        rows_per_step: Target and regularization rows of one step, over all workers.
        learning_rate: The rate of everything that trains; never scaled.
        regularization_ratio: Regularization rows for each target row; 0 is none.
        regularization_images: Pictures of each class; at least 1 unless the ratio is 0.
        prior_weight: Factor on the loss of regularization rows.
        prior_weighting: What a weight of 1 means.
        variants: Augmented variants of each target picture.
        augment: Whether variants differ in size and place.
        flip: Whether pictures are also shown mirrored.
        seed: The seed of every draw.
        update_rank: The rank of each matrix of the update; 0 trains it whole.

    Raises:
        ConfigError: A value is impossible.
        TokenError: Prompts could not tell two subjects apart.
    """

    name: str
    subjects: tuple[SubjectConfig, ...]
    steps: int
    rows_per_step: int
    learning_rate: float
    regularization_ratio: float
    regularization_images: int
    prior_weight: float
    prior_weighting: PriorWeighting
    variants: int
    augment: bool
    flip: bool
    seed: int
    update_rank: int = 0

    @classmethod
    def of_profile(
        cls, profile: "Profile", *, name: str, subjects: tuple[SubjectConfig, ...], **asked: Any
    ) -> Self:
        """Fill in the defaults of a base.

        Args:
            profile: The profile of the base.
            name: The name of the concept.
            subjects: What it teaches.
            asked: Other fields; None takes the default.

        Raises:
            ConfigError: A value is impossible.
            TokenError: Prompts could not tell two subjects apart.
        """
        defaults = {field: getattr(profile, field) for field in _OF_PROFILE} | {
            "steps": profile.steps if len(subjects) == 1 else profile.joint_steps,
            "prior_weighting": "mean",
            "augment": True,
            "seed": 0,
        }
        given = {field: value for field, value in asked.items() if value is not None}
        return cls(name=name, subjects=subjects, **defaults | given)

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        self._check_subjects()
        whole = {"steps": 1, "rows_per_step": 1, "variants": 1, "seed": 0, "update_rank": 0}
        for setting, least in whole.items():
            if getattr(self, setting) < least:
                raise ConfigError(
                    f"{setting} is {getattr(self, setting)}, expected {least} or more"
                )
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate is {self.learning_rate}, expected between 0 and 1")
        for setting in ("regularization_ratio", "prior_weight"):
            if not 0 <= getattr(self, setting) < math.inf:
                raise ConfigError(
                    f"{setting} is {getattr(self, setting)}, expected a number of at least 0; "
                    "0 is none"
                )
        if self.regularization_ratio > 0 and self.regularization_images < 1:
            raise ConfigError(
                "regularization_images is 0 but regularization_ratio is "
                f"{self.regularization_ratio}; set the ratio to 0 to train without them"
            )
        if self.target_rows < 1:
            raise ConfigError(
                f"{self.rows_per_step} rows_per_step at regularization_ratio "
                f"{self.regularization_ratio} leave no target row; give more rows or a lower ratio"
            )

    def _check_subjects(self) -> None:
        if not self.subjects:
            raise ConfigError("there is nothing to teach: subjects is empty, expected one or more")
        # Without a token it is the noun that must be its own.
        names = [subject.token or subject.class_noun for subject in self.subjects]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise TokenError(
                f"prompts would name two things by {' and '.join(sorted(repeated))}; give each "
                "its own modifier_token"
            )

    @property
    def regularization_rows(self) -> int:
        """Regularization rows of one step."""
        share = self.regularization_ratio / (1 + self.regularization_ratio)
        return round(self.rows_per_step * share)

    @property
    def target_rows(self) -> int:
        """Target rows of one step."""
        return self.rows_per_step - self.regularization_rows

    @property
    def target_weight(self) -> float:
        """Factor on the loss of target rows."""
        return _FOURFOLD if self.prior_weighting == "four_to_one" else 1.0
