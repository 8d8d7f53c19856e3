"""Merge inputs: all that a merge needs to know of a concept, without its update.

The text features of prompts that name the concept, each with what the update makes of it: of its
target prompts, of the leading directions of many prompts (the sketch), and of prompts held out to
measure errors on. A concept of Stable Diffusion 1 has merge inputs of 2.4 MB (46 rows of 768 and
24,960 values in half precision) where its update has 38 MB, and merging reads nothing else.

s rows, d text width, D rows of the K/V stack.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cdcore.concepts.prompt_rows import RowWeights, prompt_rows
from cdcore.concepts.prompt_templates import concept_prompts
from cdcore.concepts.stored_shapes import MERGE_PARTS
from cdcore.concepts.subject import Subject
from cdcore.model.update import DenseUpdate

if TYPE_CHECKING:
    from cdcore.concepts.concept import Concept
    from cdcore.model.base import Base
    from cdcore.model.text_encoder import TextEncoder

__all__ = [
    "TARGET_WEIGHTS",
    "MergeInputs",
    "MergeFeatures",
    "Rows",
    "describe",
    "features_of",
    "make_merge_inputs",
    "target_features",
]

TARGET_WEIGHTS = RowWeights(padding=1.0)
"""The weights of the rows of a concept's prompts; docs/merging.md has the measurement."""

_SKETCH_DIRECTIONS = 32
_HELD_OUT_DIRECTIONS = 8
_REST = 1e-5
"""Share of the second moment that a sketch may leave out."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """Features and what an update makes of them, float32 on the CPU.

    Attributes:
        features: (s, d).
        values: (s, D), ``features @ update.T``.
    """

    features: Tensor
    values: Tensor

    def leading(self, count: int) -> "Rows":
        """Return the rows whose features are largest, at most ``count``, in their order."""
        order = self.features.norm(dim=1).argsort(descending=True, stable=True)
        most = order[:count].sort().values
        return Rows(features=self.features[most], values=self.values[most])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MergeFeatures:
    """The features (s, d) of merge inputs, float32 on the CPU.

    Attributes:
        constraint: Each subject's target prompts, from the subject's first word on.
        sketch: At most 32 leading directions of many prompts of each subject, scaled, so that
            ``sketch.T @ sketch`` is the sum of the subjects' second moments; None in a file of an
            older version.
        held_out: At most 8 of each subject's held-out prompts, likewise.
    """

    constraint: Tensor
    sketch: Tensor | None
    held_out: Tensor | None

    def named(self) -> dict[str, Tensor]:
        """Return what there is, under the names of the concept file."""
        named = zip(MERGE_PARTS, (self.constraint, self.sketch, self.held_out), strict=True)
        return {name: features for name, features in named if features is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class MergeInputs:
    """What a merge knows of a concept.

    Attributes:
        name: The name of the concept.
        subjects: What it teaches.
        tokens: The embedding row (d,) of each modifier token.
        base_name: The base it was trained on, as the user named it.
        base_fingerprint: That base's fingerprint.
        constraint: The rows of its target prompts.
        sketch: The leading directions of many prompts; None in a file of an older version.
        held_out: The leading directions of prompts that no sketch has, likewise.
    """

    name: str
    subjects: tuple[Subject, ...]
    tokens: Mapping[str, Tensor]
    base_name: str
    base_fingerprint: str
    constraint: Rows
    sketch: Rows | None
    held_out: Rows | None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its content in half precision, 64 hex digits; names do not count."""
        digest = hashlib.sha256(self.base_fingerprint.encode())
        features = [rows.features for rows in self.rows.values()]
        parts = (*self.tokens.values(), *features, self.constraint.values)
        for tensor in parts:
            digest.update(json.dumps(list(tensor.shape)).encode())
            digest.update(tensor.half().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def is_coarse(self) -> bool:
        """Whether its features were computed in bfloat16, as earlier versions did on a GPU.

        They are off by half a percent, which a constrained merge magnifies to a quarter of what the
        concept is to give. Numbers of bfloat16 have eight digits, those of the file eleven.
        """
        features = self.constraint.features
        return bool((features.bfloat16() == features).all())

    @property
    def rows(self) -> dict[str, Rows]:
        """All rows there are, under the names of the concept file."""
        named = zip(MERGE_PARTS, (self.constraint, self.sketch, self.held_out), strict=True)
        return {name: rows for name, rows in named if rows is not None}

    @property
    def phrases(self) -> tuple[str, ...]:
        """How prompts name each subject."""
        return tuple(subject.phrase for subject in self.subjects)


def describe(concept: "Concept", base: "Base") -> MergeInputs:
    """Make the merge inputs of a concept, as its file holds it: from values in half precision.

    Raises:
        BaseMismatchError: The concept was trained on another base.
    """
    concept.check_base(base)
    return make_merge_inputs(concept, features_of(concept, base))


def features_of(
    concept: "Concept", base: "Base", weights: RowWeights = TARGET_WEIGHTS
) -> MergeFeatures:
    """Return the features that describe a concept, rounded to half precision.

    Args:
        concept: Its tokens are rounded before they are used.
        base: The base it was trained on.
        weights: The weights of the rows of its prompts, in the sketch and held out.

    Raises:
        TokenError: The tokenizer cannot use a class noun.
    """
    encoder = base.text_encoder
    tokens = {token: _rounded(row) for token, row in concept.tokens.items()}
    prompts = concept_prompts(pocket=base.is_pocket)
    for subject in concept.subjects:
        encoder.word_ids(subject.class_noun)
    targets = target_features(encoder, concept.subjects, tokens)
    sketch, held_out = (
        _leading(base, concept.subjects, templates, tokens, weights, most)
        for templates, most in (
            (prompts.sketch, _SKETCH_DIRECTIONS),
            (prompts.held_out, _HELD_OUT_DIRECTIONS),
        )
    )
    return MergeFeatures(constraint=_rounded(targets), sketch=sketch, held_out=held_out)


def target_features(
    encoder: "TextEncoder", subjects: Sequence[Subject], tokens: Mapping[str, Tensor]
) -> Tensor:
    """Return the features of the subjects' target prompts, before any rounding.

    Args:
        encoder: The base's text encoder.
        subjects: The subjects of a concept.
        tokens: The embedding row (d,) of each modifier token.

    Returns:
        (s, d) float32 on the CPU: of each prompt, the rows from the subject's first word on.
    """
    parts = [
        prompt_rows(
            encoder,
            subject.target_prompts,
            tokens,
            before=[prompt.removesuffix(subject.phrase) for prompt in subject.target_prompts],
        ).rows
        for subject in subjects
    ]
    return torch.cat(parts)


def make_merge_inputs(concept: "Concept", features: MergeFeatures) -> MergeInputs:
    """Put merge inputs together from a concept and its features: apply the update to them.

    Args:
        concept: What it describes.
        features: Its features.
    """
    update = concept.update.to("cpu", torch.float16).to("cpu", torch.float32)
    rows = {}
    for name, part in features.named().items():
        values = update.apply(part)
        # Only the values of a dense update are stored, in half precision.
        values = _rounded(values) if isinstance(update, DenseUpdate) else values
        rows[name] = Rows(features=part, values=values)
    return MergeInputs(
        name=concept.name,
        subjects=concept.subjects,
        tokens={token: _rounded(row) for token, row in concept.tokens.items()},
        base_name=concept.base_name,
        base_fingerprint=concept.base_fingerprint,
        constraint=rows["constraint"],
        sketch=rows.get("sketch"),
        held_out=rows.get("heldout"),
    )


def _leading(
    base: "Base",
    subjects: Sequence[Subject],
    templates: Sequence[str],
    tokens: Mapping[str, Tensor],
    weights: RowWeights,
    most: int,
) -> Tensor:
    """Return the leading directions of each subject's prompts, scaled, one subject after another.

    The second moment of the rows from the phrase on is, but for a small rest, theirs.
    """
    parts = []
    for subject in subjects:
        counted = prompt_rows(
            base.text_encoder,
            [template.format(subject.phrase) for template in templates],
            tokens,
            before=[template.partition("{}")[0] for template in templates],
            weights=weights,
        )
        _, singular, directions = torch.linalg.svd(
            counted.rows.double() / counted.weight**0.5, full_matrices=False
        )
        energy = singular.square()
        rest = 1 - energy.cumsum(0) / energy.sum()
        count = min(int((rest > _REST).sum()) + 1, most, len(energy))
        parts.append(_rounded((singular[:, None] * directions)[:count]))
    return torch.cat(parts)


def _rounded(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().half().float()
