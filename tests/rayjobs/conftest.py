"""A concept of the tiny base, for jobs that need no good pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tiny import random_update

if TYPE_CHECKING:
    from cdcore.base import Base
    from tests.rayjobs.stand_in import Cluster


@pytest.fixture(scope="session")
def concept_file(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mycat.safetensors`` with the token ``<mycat>`` and an update that shows."""
    from cdcore.concept import Concept, save_concept
    from cdcore.subject import Subject

    concept = Concept(
        name="mycat",
        update=random_update(tiny_base.seam.layout.shape),
        tokens={"<mycat>": tiny_base.text_encoder.initial_embedding("cat")},
        subjects=(Subject(class_noun="cat", token="<mycat>"),),
        base_name=tiny_base.name,
        base_fingerprint=tiny_base.fingerprint,
    )
    path = tmp_path_factory.mktemp("concepts") / "mycat.safetensors"
    save_concept(concept, path, tiny_base)
    return path


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> "Cluster":
    """In place of Ray, for `rayjobs.train_driver.train`."""
    from rayjobs import train_driver
    from tests.rayjobs.stand_in import Cluster

    made = Cluster()
    monkeypatch.setattr(train_driver, "connected", made.connected)
    monkeypatch.setattr(train_driver, "scaling", made.scaling)
    monkeypatch.setattr(train_driver, "check_shared", lambda folder, kind: None)
    monkeypatch.setattr(train_driver, "_fit", made.fit)
    return made
