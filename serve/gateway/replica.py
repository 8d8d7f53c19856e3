"""A replica of the engine, as Ray Serve runs it."""

import logging
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from ray.serve import metrics

from cdcore.errors import CustomDiffusionError
from cdcore.merging.caption_bank import read_captions, written_captions
from cdcore.model.device import chosen_device, compute_dtype
from cdcore.model.loading import load_base
from cdcore.registry.registry import Registry
from serve.concepts.mix import ConceptRef
from serve.engine.metrics import figures
from serve.engine.request import Failed
from serve.gateway.exporting import Download
from serve.gateway.host import EngineHost
from serve.gateway.protocol import KeptMerge, Weighted
from serve.gateway.telemetry import Telemetry
from serve.settings import ServiceSettings

__all__ = ["EngineReplica", "log_requests"]

_Answer = TypeVar("_Answer")


class EngineReplica:
    """One engine; the replica is there when the engine is warm."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Load the base and warm the engine up.

        Args:
            settings: The service's settings, with absolute paths.

        Raises:
            CustomDiffusionError: The base, the captions or a setting cannot be used.
        """
        log_requests()
        device = chosen_device(settings.device)
        base = load_base(
            settings.base,
            device=device,
            dtype=compute_dtype(device, settings.precision),
            vae=settings.vae,
        )
        self._drain_s = settings.drain_s
        self._folder = tempfile.TemporaryDirectory(prefix="customdiffusion-")
        self._host = host = EngineHost(
            base,
            Registry(settings.registry),
            Path(self._folder.name),
            settings.engine_config,
            captions=written_captions(pocket=base.is_pocket)
            if settings.captions is None
            else read_captions(Path(settings.captions)),
            cache=Path(settings.cache),
        )
        host.start(settings.start_s)
        # Ray Serve finds methods by name: these are the host's own, `check_health` among them,
        # by which it replaces a replica whose engine has stopped or hangs.
        self.facts, self.draw, self.figures = host.facts, host.draw, host.figures
        self.check_health = host.check_health
        self._telemetry = Telemetry(lambda: figures(host.engine), metrics.Counter, metrics.Gauge)
        self._telemetry.start()

    async def merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge | Failed:
        """Merge as for `serve.gateway.protocol.Gateway.merge`, but return a refusal."""
        return await _answer_or_refusal(self._host.merge(weighted, method, name))

    async def export(self, reference: ConceptRef, format_name: str) -> Download | Failed:
        """Export as for `serve.gateway.protocol.Gateway.export`, but return a refusal."""
        return await _answer_or_refusal(self._host.export(reference, format_name))

    def __del__(self) -> None:
        """Finish what is in work; Ray Serve calls this when no request is left, or time is up."""
        if hasattr(self, "_telemetry"):
            self._telemetry.close()
            self._host.close(self._drain_s)
            self._folder.cleanup()


async def _answer_or_refusal(answer: Awaitable[_Answer]) -> _Answer | Failed:
    """Return a refusal: what is raised Ray Serve logs as a defect, with its traceback."""
    try:
        return await answer
    except CustomDiffusionError as error:
        return Failed(error)


def log_requests() -> None:
    """Send this package's log, one JSON line for each request among it, to the replica's own."""
    log = logging.getLogger("serve")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
        log.propagate = False
