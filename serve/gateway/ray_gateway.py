"""The gateway to engines behind Ray Serve: each request goes to one replica, whichever is free."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from cdcore.errors import CustomDiffusionError, EngineStoppedError
from serve.concepts.mix import ConceptRef
from serve.engine.request import Failed, PictureRequest
from serve.gateway.exporting import Download
from serve.gateway.facts import ServiceFacts
from serve.gateway.protocol import EngineEvent, KeptMerge, Weighted

__all__ = ["RayGateway"]


class RayGateway:
    """A `serve.gateway.protocol.Gateway`."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        """Talk to the replicas of `serve.gateway.replica.EngineReplica`.

        Args:
            handle: Of their deployment.
        """
        self._handle = handle

    async def facts(self) -> ServiceFacts:
        """As for `Gateway.facts`."""
        facts: ServiceFacts = await _answer(self._handle.facts.remote())
        return facts

    async def draw(self, request: PictureRequest) -> AsyncGenerator[EngineEvent, None]:
        """As for `Gateway.draw`."""
        told: Any = self._handle.options(stream=True).draw.remote(request)
        try:
            async for one in told:
                yield one
        except (RayError, RayServeException) as error:
            yield Failed(_known(error))
        finally:
            # Harmless at the end; before it, this frees the rows.
            told.cancel()

    async def merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge:
        """As for `Gateway.merge`."""
        kept: KeptMerge = await _answer(self._handle.merge.remote(tuple(weighted), method, name))
        return kept

    async def export(self, reference: ConceptRef, format_name: str) -> Download:
        """As for `Gateway.export`."""
        download: Download = await _answer(self._handle.export.remote(reference, format_name))
        return download

    async def figures(self) -> Mapping[str, float]:
        """As for `Gateway.figures`."""
        figures: Mapping[str, float] = await _answer(self._handle.figures.remote())
        return figures


async def _answer(response: Any) -> Any:
    try:
        answer = await response
    except (RayError, RayServeException) as error:
        raise _known(error) from error
    if isinstance(answer, Failed):
        raise answer.error
    return answer


def _known(error: Exception) -> CustomDiffusionError:
    """Return what went wrong in an engine, or that the engine itself is gone."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, CustomDiffusionError):
        return cause
    if isinstance(cause, OSError):
        return EngineStoppedError("the engine cannot read the registry or a file; try again")
    return EngineStoppedError("the engine was lost or has a defect; send the request again")
