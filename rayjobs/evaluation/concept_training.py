"""The concepts of an evaluation: found where they are, or trained, one on each worker at a time.

Concepts are many and each is small, so each is trained whole by one process.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdcore.concepts.subject import Subject
from cdcore.errors import ConfigError
from cdcore.evaluation.dataset import SetConcept
from cdcore.pictures.picture_folder import Picture, read_pictures
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.initializer_tokens import initializer_tokens
from rayjobs.config.evaluation import EvaluateJob

if TYPE_CHECKING:
    from cdcore.model.base import Base

__all__ = ["ConceptTraining", "ConceptTrainer", "TrainerTask", "find_concept", "training_for"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptTraining:
    """A concept to train.

    Attributes:
        config: The resolved configuration.
        picture_files: Name and content of each picture, of each subject. Workers open no path of
            the user's, and a hundred folders of decoded pictures would fill the memory.
        file: The file to write, on storage that every node shares.
    """

    config: TrainingConfig
    picture_files: Sequence[Sequence[tuple[str, bytes]]]
    file: Path

    def pictures(self) -> list[list[Picture]]:
        """Return the pictures of each subject, as the driver has read them.

        Raises:
            PictureError: A picture cannot be used.
        """
        return [_decoded(files) for files in self.picture_files]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerTask:
    """What all trainings share.

    Attributes:
        base: Name of the base.
        cache: Absolute root of the caches, on each node.
    """

    base: str
    cache: Path


class ConceptTrainer:
    """Trains concepts; see `rayjobs.cluster.actor_pool.Worker`."""

    def __init__(self, task: TrainerTask) -> None:
        from cdcore.model.loading import load_local_base

        self._task = task
        self._base = load_local_base(task.base)

    def work(self, items: Sequence[ConceptTraining]) -> list[str]:
        """Train each training and write its file; return their names."""
        return [self._train(training) for training in items]

    def _train(self, training: ConceptTraining) -> str:
        from cdcore.concepts.storage import save_concept
        from cdcore.training.preparation import prepare
        from cdcore.training.trainer import train_alone

        base, config = self._base, training.config
        data = prepare(base, config, training.pictures(), self._task.cache, lambda *_: None)
        save_concept(train_alone(base, config, data), training.file, base)
        return config.name


def find_concept(folder: Path | None, name: str) -> Path | None:
    """Return the file of a concept: in a folder of files, or of runs.

    Args:
        folder: The folder to look in; None has no concepts.
        name: The name of the concept, or of both of a pair with "+" between them.
    """
    if folder is None:
        return None
    candidates = (folder / f"{name}.safetensors", folder / name / f"{name}.safetensors")
    return next((path for path in candidates if path.is_file()), None)


def training_for(
    job: EvaluateJob, base: "Base", concepts: Sequence[SetConcept], output: Path
) -> tuple[Path, ConceptTraining | None]:
    """Return the file of a concept, or of several that are trained together.

    Args:
        job: The job as the user wrote it.
        base: The base to train on.
        concepts: What it teaches.
        output: Folder of the evaluation.

    Returns:
        Where the file is, or will be; and the training that makes it, None where it is there.

    Raises:
        ConfigError: It is not there, and nothing is to be trained.
        PictureError: A picture cannot be used.
        TokenError: The base has no word for a class noun.
    """
    name = "+".join(concept.name for concept in concepts)
    found = find_concept(job.concepts, name)
    if found is not None:
        return found.resolve(), None
    config = _config(job, base, concepts, name)
    for subject in config.subjects:
        base.text_encoder.word_ids(subject.class_noun)
    pictures = [read_pictures(concept.images) for concept in concepts]
    # Trained otherwise, or on other pictures, it is another concept.
    described = {
        "config": asdict(config),
        "base": base.fingerprint,
        "pictures": [[picture.digest for picture in shown] for shown in pictures],
    }
    files = [[(one.path.name, one.path.read_bytes()) for one in shown] for shown in pictures]
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
    file = output / "concepts" / name / key / f"{name}.safetensors"
    if file.is_file():
        return file, None
    if not job.train:
        raise ConfigError(
            f"there is no concept {name}.safetensors in {job.concepts or '--concepts (unset)'}; "
            "give the folder that has it, or leave out --no-train"
        )
    return file, ConceptTraining(config=config, picture_files=files, file=file)


def _decoded(files: Sequence[tuple[str, bytes]]) -> list[Picture]:
    """Read pictures as from the user's folder: what they become depends on their names too."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        for name, content in files:
            (Path(folder) / name).write_bytes(content)
        return read_pictures(Path(folder))


def _config(
    job: EvaluateJob, base: "Base", concepts: Sequence[SetConcept], name: str
) -> TrainingConfig:
    steps = job.train_steps
    if steps is not None and len(concepts) > 1:
        steps *= 2
    images = job.regularization_images
    plain = [Subject(class_noun=one.class_noun, token=one.token) for one in concepts]
    words = initializer_tokens(base.profile, plain, [None] * len(plain))
    return TrainingConfig.of_profile(
        base.profile,
        name=name,
        subjects=tuple(
            SubjectConfig(class_noun=one.class_noun, token=one.token, initializer_token=word)
            for one, word in zip(plain, words, strict=True)
        ),
        steps=steps,
        regularization_ratio=0.0 if images == 0 else None,
        regularization_images=images,
    )
