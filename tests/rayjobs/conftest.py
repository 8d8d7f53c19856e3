"""A concept of the tiny base, for jobs that need no good pictures."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rayjobs.stand_in import Cluster


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
