"""Concepts of the pocket world, trained for a benchmark and kept for the next one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cdcore.concepts.storage import save_concept
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture, read_pictures
from cdcore.pictures.png import save_picture
from cdcore.pocket.drawing.individuals import INDIVIDUALS, render_individual
from cdcore.scoring.targets import picture_pixels
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.preparation import prepare
from cdcore.training.trainer import train_alone

__all__ = ["TrainingSettings", "target_pixels", "trained_file"]

_PICTURES = 6
"""The pictures of each individual; the paper has four to twenty."""
_PICTURE_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """How concepts are trained; the rest is the base's own.

    Attributes:
        steps: The steps of one concept; joint training takes twice as many, as in the paper.
        regularization_images: Pictures of each class that the base draws.
        variants: Augmented variants of each picture.
        folder: The folder of concept files and pictures.
        cache: Root of the caches.
    """

    steps: int
    regularization_images: int
    variants: int
    folder: Path
    cache: Path


def trained_file(
    base: Base,
    names: Sequence[str],
    seed: int,
    case: TrainingSettings,
    on_step: Callable[[int, int], None],
) -> Path:
    """Return the concept file of individuals, trained together when there are several.

    Args:
        base: A pocket base.
        names: The names of individuals in the pocket world.
        seed: The seed of the training.
        case: How the concept is trained.
        on_step: Called with the steps done and all of them; not when the file is there.
    """
    steps = case.steps * (2 if len(names) > 1 else 1)
    label = f"{'+'.join(names)}-{steps}-{seed}-{base.fingerprint[:8]}"
    path = case.folder / label / f"{'-'.join(names)}.safetensors"
    if path.exists():
        return path
    config = TrainingConfig.of_profile(
        base.profile,
        name=path.stem,
        subjects=tuple(_subject(name) for name in names),
        steps=steps,
        regularization_images=case.regularization_images,
        variants=case.variants,
        seed=seed,
    )
    shown = [_pictures(name, case.folder) for name in names]
    data = prepare(base, config, shown, case.cache, lambda *_: None)
    concept = train_alone(base, config, data, lambda metrics: on_step(metrics.step, steps))
    save_concept(concept, path, base)
    return path


def target_pixels(base: Base, name: str, folder: Path) -> Tensor:
    """Return the pictures (N, 3, S, S) that an individual was trained on."""
    return picture_pixels(base, _pictures(name, folder))


def _subject(name: str) -> SubjectConfig:
    noun = INDIVIDUALS[name].class_noun
    return SubjectConfig(class_noun=noun, token=f"<{name}>", initializer_token=noun)


def _pictures(name: str, folder: Path) -> list[Picture]:
    """Draw an individual once, and read it as a user's folder is read."""
    drawn = folder / "pictures" / name
    for number, (image, _) in enumerate(render_individual(name, _PICTURES, _PICTURE_SEED)):
        if not (drawn / f"{number}.png").exists():
            save_picture(drawn / f"{number}.png", image, {"individual": name})
    return read_pictures(drawn)
