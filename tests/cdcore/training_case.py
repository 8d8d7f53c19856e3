"""A small training case: a configuration, and cached latents that no autoencoder has seen."""

from pathlib import Path
from typing import Any

import torch

from cdcore.model.base import Base
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.engine import ConceptParameters
from cdcore.training.latent_cache import build_latent_cache
from cdcore.training.latent_rows import LatentRow
from cdcore.training.trainer import TrainingData

CAT = SubjectConfig(class_noun="cat", token="<mycat>", initializer_token="cat")
CHAIR = SubjectConfig(class_noun="chair", token="<mychair>", initializer_token="table")
PREFIXES = ("", "very small ", "zoomed in ")


def config(**changes: Any) -> TrainingConfig:
    settings: dict[str, Any] = {
        "name": "mycat",
        "subjects": (CAT,),
        "steps": 3,
        "rows_per_step": 5,
        "learning_rate": 1e-2,
        "regularization_ratio": 1.0,
        "regularization_images": 3,
        "prior_weight": 0.7,
        "prior_weighting": "mean",
        "variants": 2,
        "augment": True,
        "flip": True,
        "seed": 0,
    }
    return TrainingConfig(**settings | changes)


def data(
    base: Base, folder: Path, *, target_seed: int = 0, regularization_seed: int = 1
) -> TrainingData:
    """Six target rows, half of them masked, and four regularization rows."""
    shape = base.latent_shape

    def rows(seed: int, count: int, *, is_target: bool) -> list[LatentRow]:
        generator = torch.Generator().manual_seed(seed)
        made = []
        for number in range(count):
            mask = torch.ones(shape[1:], dtype=torch.uint8)
            if is_target and number % 2:
                mask[: 2 + number] = 0
            made.append(
                LatentRow(
                    picture=number,
                    prefix=PREFIXES[number % 3] if is_target else "",
                    mean=torch.randn(shape, generator=generator),
                    std=torch.rand(shape, generator=generator) / 10,
                    valid_mask=mask,
                )
            )
        return made

    return TrainingData(
        target=build_latent_cache(
            folder / f"target-{target_seed}.arrow", rows(target_seed, 6, is_target=True), shape
        ),
        regularization=build_latent_cache(
            folder / f"regularization-{regularization_seed}.arrow",
            rows(regularization_seed, 4, is_target=False),
            shape,
        ),
    )


def parameters(
    base: Base, seed: int = 3, settings: TrainingConfig | None = None
) -> ConceptParameters:
    """Parameters in the middle of training: neither the update nor the token is where it began."""
    generator = torch.Generator().manual_seed(seed)
    initial = ConceptParameters.initial(base, settings or config())
    with torch.no_grad():
        for parameter in initial.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return initial
