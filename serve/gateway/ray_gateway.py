"""The gateway to engines behind Ray Serve: each request goes to one replica, whichever is free."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from cdcore.errors import CustomDiffusionError, EngineStoppedError
from serve.engine.request import Failed, PictureRequest
from serve.gateway.protocol import EngineEvent, Gateway

__all__ = ["RayGateway"]

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


def _asked_of_a_replica(
    method: Callable[Concatenate[Any, _Arguments], Awaitable[_Answer]],
) -> Callable[Concatenate["RayGateway", _Arguments], Coroutine[Any, Any, _Answer]]:
    """Make a method of a gateway that asks a replica's method of the same name."""

    @wraps(method)
    async def ask(
        self: "RayGateway", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Answer:
        try:
            answer: _Answer | Failed = await getattr(self._handle, method.__name__).remote(
                *args, **kwargs
            )
        except (RayError, RayServeException) as error:
            raise _known(error) from error
        if isinstance(answer, Failed):
            raise answer.error
        return answer

    return ask


class RayGateway:
    """A `serve.gateway.protocol.Gateway`."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        """Talk to the replicas of `serve.gateway.replica.EngineReplica`.

        Args:
            handle: Stands for their deployment.
        """
        self._handle = handle

    facts = _asked_of_a_replica(Gateway.facts)
    merge = _asked_of_a_replica(Gateway.merge)
    export = _asked_of_a_replica(Gateway.export)
    figures = _asked_of_a_replica(Gateway.figures)

    async def draw(self, request: PictureRequest) -> AsyncGenerator[EngineEvent, None]:
        """Ask a replica for pictures, as for `Gateway.draw`."""
        events: Any = self._handle.options(stream=True).draw.remote(request)
        try:
            async for event in events:
                yield event
        except (RayError, RayServeException) as error:
            yield Failed(_known(error))
        finally:
            # Harmless at the end; before it, this frees the rows.
            events.cancel()


def _known(error: Exception) -> CustomDiffusionError:
    """Return what went wrong in an engine, or that the engine itself is gone."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, CustomDiffusionError):
        return cause
    if isinstance(cause, OSError):
        return EngineStoppedError("the engine cannot read the registry or a file; try again")
    return EngineStoppedError("the engine was lost or has a defect; send the request again")
