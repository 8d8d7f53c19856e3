"""Preparation: from pictures to the cached latents that training reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cdcore.model.base import Base
from cdcore.pictures.picture_folder import Picture
from cdcore.training.captioned_pictures import CaptionedPicture
from cdcore.training.config import TrainingConfig
from cdcore.training.latent_cache import LatentCache, cache_key, open_or_build
from cdcore.training.latent_rows import LatentRow, regularization_rows, target_rows
from cdcore.training.regularization import regularization_pictures
from cdcore.training.trainer import TrainingData

__all__ = ["Progress", "prepare"]

Progress = Callable[[str, int, int], None]
"""Called with what is being made, how many there are, and how many there will be."""

_ROWS_PER_CALL = 16


def prepare(
    base: Base,
    config: TrainingConfig,
    pictures: Sequence[Sequence[Picture]],
    cache: Path,
    on_progress: Progress,
    regularization: Sequence[Sequence[CaptionedPicture]] = (),
) -> tuple[TrainingData, ...]:
    """Make, or find in the cache, everything that training reads.

    Args:
        base: Encodes, and generates the regularization pictures that are not given.
        config: The configuration of the run.
        pictures: The pictures of each subject, held-out ones excluded.
        cache: Root of the caches.
        on_progress: Told about slow work.
        regularization: The regularization pictures of each subject, of which the first
            ``config.regularization_images`` are shown; an empty list has them generated, and so
            has nothing at all.

    Returns:
        The data of each subject; subjects of one class share their regularization pictures.

    Raises:
        OSError: The cache cannot be written.
        ConfigError: The pictures' resolution does not suit the base.
    """
    count = config.regularization_images
    given = [brought[:count] for brought in regularization or [()] * len(pictures)]
    encoded = [len(shown) * config.variants for shown in pictures]
    generated = [0 if brought else count for brought in given]
    made = []
    for number, (shown, brought) in enumerate(zip(pictures, given, strict=True)):
        told = _part_of(on_progress, "encoding pictures", encoded, number)
        target = _target(base, config, shown, cache, told)
        if not config.regularization_rows:
            made.append(TrainingData(target=target, regularization=None))
            continue
        told = _part_of(on_progress, "regularization images", generated, number)
        prompt = config.subjects[number].class_prompt
        of_class = [one.picture for one in brought] or regularization_pictures(
            base, prompt, count, cache, on_progress=told
        )
        made.append(
            TrainingData(
                target=target,
                regularization=_regularization(base, config, of_class, cache),
                captions=[one.caption for one in brought],
            )
        )
    return tuple(made)


def _part_of(
    on_progress: Progress, phase: str, totals: Sequence[int], number: int
) -> Callable[..., None]:
    """Count one subject's work on from that of the subjects before it."""
    before = sum(totals[:number])
    return lambda done, *_: on_progress(phase, before + done, sum(totals))


def _target(
    base: Base,
    config: TrainingConfig,
    pictures: Sequence[Picture],
    cache: Path,
    on_row: Callable[[int], None],
) -> LatentCache:
    return _cached(
        base,
        cache,
        pictures,
        lambda: _counted(
            target_rows(
                pictures,
                variants=config.variants,
                resolution=base.profile.resolution,
                latent_factor=base.latent_factor,
                seed=config.seed,
                encode=base.encode_pixels,
                augment=config.augment,
                flip=config.flip,
            ),
            on_row,
        ),
        {
            "kind": "target",
            "variants": config.variants,
            "seed": config.seed,
            "augment": config.augment,
            "flip": config.flip,
        },
    )


def _regularization(
    base: Base, config: TrainingConfig, pictures: Sequence[Picture], cache: Path
) -> LatentCache:
    return _cached(
        base,
        cache,
        pictures,
        lambda: regularization_rows(
            pictures,
            resolution=base.profile.resolution,
            latent_factor=base.latent_factor,
            encode=base.encode_pixels,
            flip=config.flip,
        ),
        {"kind": "regularization", "flip": config.flip},
    )


def _counted(rows: Iterable[LatentRow], on_row: Callable[[int], None]) -> Iterator[LatentRow]:
    """Pass rows on, and tell about each sixteenth: they come in batches of as many."""
    for number, row in enumerate(rows, start=1):
        if number % _ROWS_PER_CALL == 0:
            on_row(number)
        yield row


def _cached(
    base: Base,
    cache: Path,
    pictures: Sequence[Picture],
    rows: Callable[[], Iterable[LatentRow]],
    settings: dict[str, object],
) -> LatentCache:
    key = cache_key(
        pictures=[picture.digest for picture in pictures],
        autoencoder=base.autoencoder_fingerprint,
        resolution=base.profile.resolution,
        **settings,
    )
    return open_or_build(cache / "latents", key[:32], rows, base.latent_shape)
