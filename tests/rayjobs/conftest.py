"""A concept of the tiny base, for jobs that need no good pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cdcore.model.base import Base
    from tests.rayjobs.stand_in import Cluster


@pytest.fixture(scope="session")
def concept_file(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mycat.safetensors`` with the token ``<mycat>`` and an update that shows."""
    from tests.cdcore.concept_case import write_concept

    return write_concept(tiny_base, tmp_path_factory.mktemp("concepts"))


@pytest.fixture(scope="session")
def other_concept_file(tiny_base: "Base", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``mypot.safetensors`` with the token ``<mypot>``."""
    from tests.cdcore.concept_case import write_concept

    folder = tmp_path_factory.mktemp("concepts")
    return write_concept(tiny_base, folder, "wooden pot", name="mypot", seed=1)


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
