"""Tests of `serve.payloads.event_stream`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import pytest
import torch
from starlette.requests import Request
from starlette.types import Message

from cdcore.errors import (
    CustomDiffusionError,
    MergeError,
    OverloadedError,
    RequestCancelledError,
    ServingError,
)
from serve.engine.request import Done, Event, Failed, Picture, PictureRequest
from serve.gateway.host import EngineHost
from serve.gateway.protocol import Accepted, EngineEvent
from serve.payloads.event_stream import admitted, charged, while_heard
from tests.serve.engine_case import SIMPLE

pytestmark = pytest.mark.anyio


class Client:
    """A client that hears until it leaves."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.request = Request({"type": "http"}, self.messages.get)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.request", "body": b""})
        self.messages.put_nowait({"type": "http.disconnect"})


class Source:
    """Yields numbers and notes how it ends."""

    def __init__(self, count: int, *, hangs: bool = False) -> None:
        self.count = count
        self.hangs = hangs
        self.end = ""

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                yield number
            if self.hangs:
                await asyncio.Event().wait()
            self.end = "done"
        finally:
            self.end = self.end or "closed"


async def test_all_is_heard_by_a_client_that_stays() -> None:
    source = Source(3)
    assert [number async for number in while_heard(Client().request, source())] == [0, 1, 2]
    assert source.end == "done"


async def test_a_source_is_closed_when_its_client_leaves() -> None:
    client, source = Client(), Source(2, hangs=True)
    heard = while_heard(client.request, source())
    assert [await anext(heard), await anext(heard)] == [0, 1]
    client.leave()
    with pytest.raises(RequestCancelledError):
        await anext(heard)
    assert source.end == "closed"


async def test_a_source_is_closed_when_its_reader_is_cancelled_or_stops() -> None:
    cancelled, stopped = Source(1, hangs=True), Source(2)

    async def read() -> None:
        async for _ in while_heard(Client().request, cancelled()):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.end == "closed"
    async with aclosing(while_heard(Client().request, stopped())) as heard:
        assert await anext(heard) == 0
    assert stopped.end == "closed"


class Scripted:
    """A gateway that tells what it is given."""

    def __init__(self, *events: EngineEvent) -> None:
        self._events = events

    async def draw(self, request: PictureRequest) -> AsyncIterator[EngineEvent]:
        for event in self._events:
            yield event


async def test_refusals_and_failures_are_raised() -> None:
    full = Scripted(Failed(OverloadedError("full", 3.0)))
    with pytest.raises(OverloadedError, match="full"):
        await admitted(Client().request, full, SIMPLE)  # type: ignore[arg-type]
    broken = Scripted(Accepted(), Failed(ServingError("broken")))
    _, events = await admitted(Client().request, broken, SIMPLE)  # type: ignore[arg-type]
    with pytest.raises(ServingError, match="broken"):
        await anext(events)


async def test_an_admitted_request_is_drawn(host: EngineHost) -> None:
    accepted, events = await admitted(Client().request, host, SIMPLE)
    assert accepted.unread == {}
    assert [type(event) async for event in events] == [Picture, Done]


DRAWN = Picture(number=0, seed=1, pixels=torch.zeros(3, 1, 1))
FINISHED = Done(residuals={}, found_free_row=True, turns_waited=0, waited_s=0.0)


@pytest.mark.parametrize(
    ("told", "is_given_back"),
    [
        ([MergeError("ill-posed")], True),
        ([ServingError("broken")], True),
        ([DRAWN, ServingError("broken")], False),
        ([RequestCancelledError("the client has left")], False),
        ([DRAWN, FINISHED], False),
    ],
)
async def test_a_charge_is_given_back_where_nothing_came_of_it(
    told: list[Event | CustomDiffusionError], is_given_back: bool
) -> None:
    async def source() -> AsyncGenerator[Event, None]:
        for one in told:
            if isinstance(one, CustomDiffusionError):
                raise one
            yield one

    given: list[bool] = []
    heard = []
    with suppress(CustomDiffusionError):
        async with aclosing(charged(source(), lambda: given.append(True))) as events:
            heard = [event async for event in events]
    assert given == [True] * is_given_back
    if not any(isinstance(one, CustomDiffusionError) for one in told):
        assert heard == told


async def test_a_stream_that_nobody_reads_to_the_end_is_paid_for() -> None:
    async def source() -> AsyncGenerator[Event, None]:
        yield DRAWN
        yield FINISHED

    given: list[bool] = []
    async with aclosing(charged(source(), lambda: given.append(True))) as events:
        await anext(events)
    assert not given
