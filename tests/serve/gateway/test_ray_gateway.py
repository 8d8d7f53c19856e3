"""Tests of `serve.gateway.ray_gateway`; with a cluster it is tested in `test_app`."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from cdcore.errors import CustomDiffusionError, EngineStoppedError, MergeError
from serve.concepts.mix import ConceptRef
from serve.engine.request import Failed
from serve.gateway.protocol import Accepted, EngineEvent
from serve.gateway.ray_gateway import RayGateway
from tests.serve.engine_case import SIMPLE

pytestmark = pytest.mark.anyio


class Handle:
    """A handle whose every call ends in an error, streams after what they yield."""

    def __init__(self, error: Exception, *events: EngineEvent) -> None:
        self.error = error
        self.events = events
        self.cancelled = 0

    def __getattr__(self, name: str) -> "Handle":
        return self

    def options(self, **options: Any) -> "Handle":
        assert options == {"stream": True}
        return Stream(self.error, *self.events)

    async def remote(self, *arguments: Any) -> Any:
        raise self.error


class Stream(Handle):
    def remote(self, *arguments: Any) -> Any:
        return self

    async def __aiter__(self) -> AsyncIterator[EngineEvent]:
        for one in self.events:
            yield one
        raise self.error

    def cancel(self) -> None:
        self.cancelled += 1


def task_error(cause: Exception) -> Exception:
    error = RayTaskError("merge", "trace", cause)
    made: Exception = error.as_instanceof_cause()
    return made


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (task_error(MergeError("ill-posed")), MergeError, "^ill-posed$"),
        (task_error(OSError("/secret")), EngineStoppedError, "try again"),
        (task_error(ZeroDivisionError("secret")), EngineStoppedError, "lost or has a defect"),
        (RayActorError(), EngineStoppedError, "send the request again"),
    ],
)
async def test_errors_arrive_as_they_were_raised_and_a_lost_engine_as_one_that_stopped(
    error: Exception, kind: type[CustomDiffusionError], says: str
) -> None:
    gateway = RayGateway(Handle(error, Accepted()))  # type: ignore[arg-type]
    for call in (gateway.facts, gateway.figures, lambda: gateway.merge((), "ridge", "x")):
        with pytest.raises(kind, match=says) as found:
            await call()
        assert type(found.value) is kind
    first, last = [event async for event in gateway.draw(SIMPLE)]
    assert first == Accepted()
    assert isinstance(last, Failed)
    assert type(last.error) is kind


class Refusing:
    """A handle whose every call returns a refusal, as an `EngineReplica` does."""

    def __getattr__(self, name: str) -> "Refusing":
        return self

    async def remote(self, *arguments: Any) -> Failed:
        return Failed(MergeError("ill-posed"))


async def test_a_refusal_that_is_returned_is_raised_here() -> None:
    gateway = RayGateway(Refusing())  # type: ignore[arg-type]
    with pytest.raises(MergeError, match="ill-posed"):
        await gateway.merge((), "ridge", "x")
    with pytest.raises(MergeError, match="ill-posed"):
        await gateway.export(ConceptRef(name="mycat", version="1"), "peft")
