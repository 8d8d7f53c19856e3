"""What every test may rely on: no network, no cluster but its own, one torch thread."""

import os

# Set before any test module imports these libraries: they read their environment once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.pop("RAY_ADDRESS", None)

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_randomly
import torch

from tests.simulated_cloud.lab import can_simulate
from tests.small_families import FamilyName, save_small_base
from tests.tiny import save_tiny_pipeline

if TYPE_CHECKING:
    from cdcore.model.base import Base

# DeepSpeed registers a seeder there, so that every test run would import DeepSpeed. No test here
# draws from a global generator.
pytest_randomly.entrypoint_reseeds = []

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

CLUSTER_TIMEOUT_S = 3000


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Keep the pytest process to one thread: small tensors gain nothing from more."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with a tiny random model; not to be written to."""
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_pipeline(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tiny_folder: Path) -> "Base":
    """The tiny model as a base, on the CPU in float32; its name is its folder."""
    from cdcore.model.loading import load_base

    return load_base(str(tiny_folder))


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FamilyName], Path]:
    """The folder of the small random base of a family, with CLIP's words; not to be written to."""
    root = tmp_path_factory.mktemp("families")

    @cache
    def made(family: FamilyName) -> Path:
        save_small_base(family, root / family)
        return root / family

    return made


@pytest.fixture(scope="session")
def small_base(small_folder: Callable[[FamilyName], Path]) -> "Callable[[FamilyName], Base]":
    """The small random base of a family, on the CPU in float32; its name is its folder."""
    from cdcore.model.loading import load_base

    return cache(lambda family: load_base(str(small_folder(family))))


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test on a cluster take as long as the machine needs that day, unless it hangs."""
    for item in items:
        if item.get_closest_marker("ray") or item.get_closest_marker("cloud"):
            item.add_marker(pytest.mark.timeout(CLUSTER_TIMEOUT_S))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need what is not there."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if item.get_closest_marker("cloud") and not can_simulate():
        pytest.skip("needs root, for network namespaces")
