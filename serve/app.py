"""The Ray Serve application: engines as replicas of one deployment, HTTP in another.

serve run serve.app:app base=pocket
serve deploy serve/config.yaml
"""

import logging
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve import metrics
from ray.serve.config import AutoscalingConfig

from cdcore.base import load_base
from cdcore.caption_bank import read_captions, written_captions
from cdcore.device import chosen_device, compute_dtype
from cdcore.errors import ConfigError, CustomDiffusionError
from cdcore.registry import Registry
from serve.blend import ConceptRef
from serve.engine_host import EngineHost
from serve.examples import shipped_examples
from serve.exporting import Download
from serve.figures import figures
from serve.gateway import KeptMerge, Told, Weighted
from serve.http_app import http_app
from serve.picture_request import Failed, PictureRequest
from serve.ray_gateway import RayGateway
from serve.service import Service
from serve.service_facts import ServiceFacts
from serve.settings import ServiceSettings
from serve.telemetry import Telemetry

__all__ = ["EngineReplica", "app"]

_ENGINE = "Engine"
_MAX_ONGOING = 1000
"""Requests at one replica; the engine's own budget refuses before, with a time to come again."""
_BUSY = 1.5
"""Requests for each row of a batch above which another engine is worth starting."""
_Answer = TypeVar("_Answer")
_PROXY_VARIABLE = "RAY_SERVE_ENABLE_HA_PROXY"


class EngineReplica:
    """One engine; the replica is there when the engine is warm."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Load the base and warm the engine up.

        Args:
            settings: With absolute paths.

        Raises:
            CustomDiffusionError: The base, the captions or a setting cannot be used.
        """
        _log_requests()
        device = chosen_device(settings.device)
        base = load_base(settings.base, device=device, dtype=compute_dtype(device))
        self._drain_s = settings.drain_s
        self._folder = tempfile.TemporaryDirectory(prefix="customdiffusion-")
        self._host = EngineHost(
            base,
            Registry(settings.registry),
            Path(self._folder.name),
            settings.engine_config,
            captions=written_captions(pocket=base.is_pocket)
            if settings.captions is None
            else read_captions(Path(settings.captions)),
            cache=Path(settings.cache),
        )
        self._host.start(settings.start_s)
        self._telemetry = Telemetry(
            lambda: figures(self._host.engine), metrics.Counter, metrics.Gauge
        )
        self._telemetry.start()

    async def facts(self) -> ServiceFacts:
        """As for `serve.gateway.Gateway.facts`."""
        return await self._host.facts()

    async def draw(self, request: PictureRequest) -> AsyncGenerator[Told, None]:
        """As for `serve.gateway.Gateway.draw`."""
        async with aclosing(self._host.draw(request)) as told:
            async for one in told:
                yield one

    async def merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge | Failed:
        """As for `serve.gateway.Gateway.merge`, but a refusal is returned."""
        return await _told(self._host.merge(weighted, method, name))

    async def export(self, reference: ConceptRef, format_name: str) -> Download | Failed:
        """As for `serve.gateway.Gateway.export`, but a refusal is returned."""
        return await _told(self._host.export(reference, format_name))

    async def figures(self) -> Mapping[str, float]:
        """As for `serve.gateway.Gateway.figures`."""
        return await self._host.figures()

    def check_health(self) -> None:
        """Tell Ray Serve, which replaces a replica whose engine has stopped or hangs."""
        self._host.check_health()

    def __del__(self) -> None:
        """Finish what is in work; Ray Serve calls this when no request is left, or time is up."""
        if hasattr(self, "_telemetry"):
            self._telemetry.close()
            self._host.close(self._drain_s)
            self._folder.cleanup()


def app(settings: ServiceSettings) -> ray_serve.Application:
    """Build the application, as ``serve run`` and ``serve deploy`` do.

    Args:
        settings: The ``args`` of the application.

    Raises:
        ConfigError: Nobody could tell who asks.
    """
    settings = settings.resolved()
    if settings.keys is None and os.environ.get(_PROXY_VARIABLE) == "1":
        raise ConfigError(
            f"{_PROXY_VARIABLE} is 1, so every request seems to come from this machine; give a "
            "file of API keys as keys"
        )
    engine: Any = ray_serve.deployment(
        EngineReplica,
        name=_ENGINE,
        autoscaling_config=AutoscalingConfig(
            min_replicas=settings.min_replicas,
            max_replicas=settings.max_replicas,
            target_ongoing_requests=max(1.0, _BUSY * settings.slots),
        ),
        max_ongoing_requests=_MAX_ONGOING,
        ray_actor_options={"num_cpus": settings.cpus, "num_gpus": _gpus(settings)},
        graceful_shutdown_timeout_s=settings.drain_s,
        max_constructor_retry_count=3,
    )

    def build() -> FastAPI:
        _log_requests()
        gateway = RayGateway(ray_serve.get_deployment_handle(_ENGINE))
        examples = shipped_examples() if settings.examples else []
        return http_app(Service(settings, gateway, Registry(settings.registry), examples))

    ingress: Any = ray_serve.deployment(
        ray_serve.ingress(build)(),
        name="Http",
        max_ongoing_requests=_MAX_ONGOING,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=settings.drain_s,
    )
    application: ray_serve.Application = ingress.bind(engine.bind(settings))
    return application


async def _told(answer: Awaitable[_Answer]) -> _Answer | Failed:
    """Return a refusal: what is raised Ray Serve logs as a defect, with its traceback."""
    try:
        return await answer
    except CustomDiffusionError as error:
        return Failed(error)


def _gpus(settings: ServiceSettings) -> float:
    if settings.gpus is not None:
        return settings.gpus
    if settings.device == "cpu":
        return 0.0
    if ray.is_initialized():
        resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return float(resources.get("GPU", 0) > 0)
    return float(torch.cuda.is_available())


def _log_requests() -> None:
    """Send this package's log, one JSON line for each request among it, to the replica's own."""
    log = logging.getLogger("serve")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
        log.propagate = False
