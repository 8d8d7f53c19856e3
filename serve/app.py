"""The Ray Serve application: engines as replicas of one deployment, HTTP in another.

serve run serve.app:app base=pocket
serve deploy serve/config.yaml
"""

import os
from pathlib import Path
from typing import Any

import ray
import torch
from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve.config import AutoscalingConfig

from cdcore.errors import ConfigError
from cdcore.model.base_files import local_base
from cdcore.registry.registry import Registry
from serve.api.application import http_app
from serve.api.service import Service
from serve.api_keys import ApiKeys
from serve.catalogue.examples import shipped_examples
from serve.gateway.ray_gateway import RayGateway
from serve.gateway.replica import EngineReplica, log_requests
from serve.settings import ServiceSettings

__all__ = ["app"]

_ENGINE = "Engine"
_MAX_ONGOING = 1000
"""Requests at one replica; the engine's own budget refuses before, with a time to come again."""
_BUSY = 1.5
"""Requests for each row of a batch above which another engine is worth starting."""

_PROXY_VARIABLE = "RAY_SERVE_ENABLE_HA_PROXY"


def app(settings: ServiceSettings) -> ray_serve.Application:
    """Build the application, as ``serve run`` and ``serve deploy`` do.

    Args:
        settings: The ``args`` of the application.

    Raises:
        ConfigError: Nobody could tell who asks.
        BaseModelError: The base is a folder that is not there.
    """
    settings = settings.resolved()
    if settings.keys is not None:
        ApiKeys(Path(settings.keys))
    if Path(settings.base).is_absolute():
        local_base(settings.base)
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
        log_requests()
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


def _gpus(settings: ServiceSettings) -> float:
    if settings.gpus is not None:
        return settings.gpus
    if settings.device == "cpu":
        return 0.0
    if ray.is_initialized():
        resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return float(resources.get("GPU", 0) > 0)
    return float(torch.cuda.is_available())
