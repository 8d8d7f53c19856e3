"""The identity of a run: what decides its result, and what another start may not change."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cdcore.errors import RunError
from cdcore.pictures.picture_folder import Picture
from cdcore.training.captioned_pictures import CaptionedPicture
from cdcore.training.config import TrainingConfig

if TYPE_CHECKING:
    from cdcore.model.base import Base
from rayjobs.config.training import TrainJob
from rayjobs.runs.former_names import by_first_names

__all__ = ["as_begun", "differences", "digest", "identity"]

Job = TypeVar("Job", bound=TrainJob)


def as_begun(job: Job, stored: Mapping[str, Any] | None) -> Job:
    """Let a run or a sweep that goes on keep the words that its modifier tokens started from.

    What they start from by default has changed, and may again.

    Args:
        job: As the user wrote it; what it says stands.
        stored: The identity of the run or sweep so far; None for a new one.
    """
    concepts = (stored or {}).get("concepts")
    if not isinstance(concepts, list) or len(concepts) != len(job.sources):
        return job
    words = [one.get("initializer_token") if isinstance(one, dict) else None for one in concepts]
    if not job.concepts:
        return replace(job, initializer_token=job.initializer_token or words[0])
    sources = zip(job.concepts, words, strict=True)
    kept = [replace(one, initializer_token=one.initializer_token or word) for one, word in sources]
    return replace(job, concepts=tuple(kept))


def identity(
    job: TrainJob,
    config: TrainingConfig,
    base: "Base",
    pictures: Sequence[Sequence[Picture]],
    regularization: Sequence[Sequence[CaptionedPicture]] = (),
) -> dict[str, Any]:
    """Return what decides a run's result: two runs may share a name only if these are equal.

    Args:
        job: As the user wrote it.
        config: As it was resolved.
        base: The base to train on.
        pictures: The pictures of each subject to train on.
        regularization: The regularization pictures of each subject; an empty list where the base
            generates them, and so has nothing at all.
    """
    concepts: list[dict[str, Any]] = [
        {
            "class_noun": subject.class_noun,
            "modifier_token": subject.token,
            "initializer_token": subject.initializer_token,
            "pictures": {picture.path.name: picture.digest[:16] for picture in shown},
        }
        for subject, shown in zip(config.subjects, pictures, strict=True)
    ]
    for concept, brought in zip(concepts, regularization, strict=bool(regularization)):
        # Runs with generated pictures are described as they were before there were others.
        if brought:
            concept["regularization"] = _summary(brought)
    described = asdict(config) | {
        "concepts": concepts,
        "base": base.name,
        "base_fingerprint": base.fingerprint,
        "zero_stage": job.zero_stage,
    }
    # Said by the concepts, in the user's own words.
    described.pop("subjects")
    # Runs that ask for none of these are described as they were before there were any.
    if not config.update_rank:
        described.pop("update_rank")
    if job.resolution is not None:
        described["resolution"] = job.resolution
    if job.vae is not None:
        described["autoencoder"] = base.autoencoder_fingerprint[:16]
    if job.zero_stage:
        # A ZeRO 1 or 2 checkpoint loads only with as many workers.
        described["workers"] = job.workers
    return described


def _summary(brought: Sequence[CaptionedPicture]) -> str:
    """Describe captioned pictures so that two descriptions differ where anything of them does."""
    content = json.dumps([(one.picture.digest, one.caption) for one in brought])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"{len(brought)} captioned pictures {digest[:16]}"


def digest(asked: dict[str, Any]) -> str:
    """Return a short hash of a run's identity that more steps do not change."""
    known = by_first_names(asked)
    same = {key: value for key, value in known.items() if key not in ("steps", "base")}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def differences(stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """Refuse to continue a run with other settings; more steps are allowed.

    Raises:
        RunError: Names every setting that differs.
    """
    now = asked | ({"base": stored["base"]} if _has_moved(stored, asked) else {})
    changed = list(_changes(stored, now))
    if changed:
        raise RunError(
            f"run {asked['name']!r} exists with other settings ({'; '.join(changed)}); choose "
            "another --name, or --overwrite it"
        )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        old: Any = before.get(key)
        new: Any = now.get(key)
        if old == new or (key == "steps" and new > (old or 0)):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            names = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n))
            yield f"other {key}{of}: {', '.join(names)}"
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for number, pair in enumerate(zip(old, new, strict=True), start=1):
                yield from _changes(*pair, f" of concept {number}" if len(new) > 1 else "")
        elif isinstance(old, list) and isinstance(new, list):
            yield f"{key} were {len(old)}, now {len(new)}"
        else:
            yield f"{key}{of} was {old!r}, now {new!r}"


def _has_moved(stored: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether the base is the same in another folder, as in a job's copy of one."""
    folders = all(Path(str(config.get("base"))).is_absolute() for config in (stored, asked))
    return folders and stored.get("base_fingerprint") == asked["base_fingerprint"]
