"""A concept of the tiny base, for jobs that need no good pictures."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rayjobs.config.training import TrainJob
    from tests.rayjobs.stand_in import Cluster


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> "TrainJob":
    """A job of one concept on the tiny base."""
    from tests.rayjobs.train_case import job

    return job(tmp_path, tiny_folder)


@pytest.fixture
def joint(plain: "TrainJob") -> "TrainJob":
    """A job of two concepts at once."""
    from tests.rayjobs.train_case import CONCEPTS

    return replace(plain, images=None, class_noun=None, train="joint", concepts=CONCEPTS)


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
