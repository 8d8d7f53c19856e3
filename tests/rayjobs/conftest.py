"""A concept of the tiny base, for jobs that need no good pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tiny import random_update

if TYPE_CHECKING:
    from cdcore.model.base import Base
    from tests.rayjobs.stand_in import Cluster


@pytest.fixture(scope="session")
def concept_file(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mycat.safetensors`` with the token ``<mycat>`` and an update that shows."""
    return _concept_file(tiny_base, tmp_path_factory.mktemp("concepts"), "mycat", "cat", seed=0)


@pytest.fixture(scope="session")
def other_concept_file(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mypot.safetensors`` with the token ``<mypot>``."""
    folder = tmp_path_factory.mktemp("concepts")
    return _concept_file(tiny_base, folder, "mypot", "wooden pot", seed=1)


def _concept_file(base: "Base", folder: Path, name: str, noun: str, *, seed: int) -> Path:
    from cdcore.concepts.concept import Concept
    from cdcore.concepts.storage import save_concept
    from cdcore.concepts.subject import Subject

    concept = Concept(
        name=name,
        update=random_update(base.seam.layout.shape, seed=seed),
        tokens={f"<{name}>": base.text_encoder.initial_embedding(noun)},
        subjects=(Subject(class_noun=noun, token=f"<{name}>"),),
        base_name=base.name,
        base_fingerprint=base.fingerprint,
    )
    path = folder / f"{name}.safetensors"
    save_concept(concept, path, base)
    return path


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> "Cluster":
    """In place of Ray, for `rayjobs.training.driver.train`."""
    from rayjobs.training import driver as train_driver
    from tests.rayjobs.stand_in import Cluster

    made = Cluster()
    monkeypatch.setattr(train_driver, "connected", made.connected)
    monkeypatch.setattr(train_driver, "scaling", made.scaling)
    monkeypatch.setattr(train_driver, "tell_if_busy", lambda console, resources: None)
    monkeypatch.setattr(train_driver, "check_shared", lambda folder, kind: None)
    monkeypatch.setattr(train_driver, "fit", made.fit)
    return made
