"""What the benchmarks train: one case for all recipes, with one base, pictures and settings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.recipes.ours import EngineName, OurRecipe
from benchmarks.recipes.stock import StockRecipe
from cdcore.model.base import Base
from cdcore.model.device import compute_dtype
from cdcore.model.loading import load_base
from cdcore.pictures.picture_folder import Picture
from cdcore.pictures.pixels import to_image
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.latent_cache import build_latent_cache
from cdcore.training.latent_rows import LatentRow
from cdcore.training.preparation import prepare
from cdcore.training.regularization import regularization_folder, regularization_pictures
from cdcore.training.trainer import TrainingData

__all__ = [
    "TrainingCase",
    "load_training_base",
    "random_data",
    "random_pictures",
    "training_config",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCase:
    """One concept to train on one base, by any recipe; it can be sent to another process.

    Attributes:
        base: Name of the base.
        config: The configuration for one subject.
        pictures: The pictures of the subject.
        cache: Absolute root of the caches; holds the regularization pictures of all recipes.
        engine: What drives the optimiser of this project's trainer.
        device: Where to train.
    """

    base: str
    config: TrainingConfig
    pictures: Sequence[Picture]
    cache: Path
    engine: EngineName
    device: str

    def load_base(self) -> Base:
        """Load the base anew.

        Raises:
            BaseModelError: The base cannot be loaded.
        """
        return load_training_base(self.base, self.device)

    def regularization(self, base: Base) -> list[Picture]:
        """Return the pictures of the class, made on the first call and kept.

        Raises:
            OSError: The cache cannot be written.
        """
        (subject,) = self.config.subjects
        count = self.config.regularization_images
        return regularization_pictures(base, subject.class_prompt, count, self.cache)

    def our_recipe(self, base: Base) -> OurRecipe:
        """Prepare this project's recipe from the cache, which is filled on the first call."""
        (data,) = prepare(base, self.config, [self.pictures], self.cache, lambda *_: None)
        return OurRecipe(base, self.config, data, self.engine)

    def preparation(self, base: Base) -> float:
        """Return the seconds in which this project encodes what it trains on.

        It is done anew, without the cache. The pictures of the class, which every recipe needs, are
        made before.
        """
        self.regularization(base)
        (subject,) = self.config.subjects
        made = regularization_folder(base, subject.class_prompt, self.cache)
        with TemporaryDirectory() as name:
            shared = regularization_folder(base, subject.class_prompt, Path(name))
            shared.parent.mkdir(parents=True)
            shared.symlink_to(made)
            started = time.perf_counter()
            prepare(base, self.config, [self.pictures], Path(name), lambda *_: None)
            return time.perf_counter() - started

    def stock_recipe(self, base: Base) -> StockRecipe:
        """Prepare the stock recipe, which takes the base over."""
        return StockRecipe(base, self.config, self.pictures, self.regularization(base))

    def with_settings(self, **changes: Any) -> "TrainingCase":
        """Return the case with other fields of its `TrainingConfig`."""
        return replace(self, config=replace(self.config, **changes))


def load_training_base(name: str, device: str) -> Base:
    """Load a base in the precision that the job trains it in.

    Raises:
        BaseModelError: The base cannot be loaded.
    """
    return load_base(name, device=device, dtype=compute_dtype(device))


def training_config(base: Base, **changes: Any) -> TrainingConfig:
    """Return the defaults of a base for one subject, a cat called ``<mycat>``.

    Regularization is a row for each row of the concept, as in the paper's code and in the recipe
    that this project is compared with.

    Args:
        base: Gives the defaults.
        changes: Fields of `TrainingConfig` to set.
    """
    cat = SubjectConfig(class_noun="cat", token="<mycat>", initializer_token="cat")
    settings: dict[str, Any] = {
        "name": "mycat",
        "subjects": (cat,),
        "regularization_ratio": 1.0,
        "prior_weight": 1.0,
    }
    return TrainingConfig.of_profile(base.profile, **settings | changes)


def random_data(base: Base, folder: Path, *, rows: int = 64) -> TrainingData:
    """Cache random latents in which every row has a prompt of its own.

    That is the dearest case: rows that share a prompt share its encoding.

    Args:
        base: Gives the shape.
        folder: Where the caches are written.
        rows: How many rows there are of either kind.

    Raises:
        OSError: The folder cannot be written.
    """
    generator = torch.Generator().manual_seed(0)

    def row(number: int, prefix: str) -> LatentRow:
        return LatentRow(
            picture=number,
            prefix=prefix,
            mean=torch.randn(base.latent_shape, generator=generator),
            std=torch.full(base.latent_shape, 0.01),
            valid_mask=torch.ones(base.latent_shape[1:], dtype=torch.uint8),
        )

    kinds = {
        "target": [row(number, f"{number} ") for number in range(rows)],
        "regularization": [row(number, "") for number in range(rows)],
    }
    caches = {
        kind: build_latent_cache(folder / f"{kind}.arrow", made, base.latent_shape)
        for kind, made in kinds.items()
    }
    return TrainingData(target=caches["target"], regularization=caches["regularization"])


def random_pictures(count: int, side_px: int) -> list[Picture]:
    """Make square pictures of noise."""
    made = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        pixels = torch.rand(3, side_px, side_px, generator=generator) * 2 - 1
        made.append(Picture.from_image(to_image(pixels), Path(f"{number}.png")))
    return made
