"""Every route of the HTTP API under requests made from its own OpenAPI document, good and bad."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.api.application import http_app
from serve.api.service import Service
from serve.engine.config import EngineConfig
from serve.settings import ServiceSettings
from tests.serve.service_case import hosting, save_mergeable


@pytest.fixture(scope="module")
def address(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service on a socket of its own, whose concepts come back when they were deleted."""
    folder = tmp_path_factory.mktemp("schema")
    registry = Registry(folder / "registry")
    files = save_mergeable(tiny_base, folder)
    # Little room, so that long drawings are refused and the short ones are drawn.
    config = EngineConfig(slots=3, backlog=40)
    with hosting(tiny_base, registry, folder / "cache", config) as host:
        for file in files.values():
            registry.publish(file)
        app = http_app(Service(ServiceSettings(), host, registry))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
            thread = threading.Thread(
                target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
            )
            thread.start()
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_a_defect(address: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    statuses: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=15,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def send(case) -> None:
            answer = case.call(base_url=address, timeout=60)
            statuses[answer.status_code] += 1
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]

        # Where everything is allowed nothing can be wrong.
        with suppress(Unsatisfiable):
            send()
    assert statuses.total() > 100
