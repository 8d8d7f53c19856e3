"""Reading what engines tell, for as long as the client is there to hear it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import Request

from cdcore.errors import CustomDiffusionError, RequestCancelledError
from serve.engine.request import Event, Failed, PictureRequest
from serve.gateway.protocol import Accepted, Gateway

__all__ = ["admitted", "charged", "while_heard"]

_END: Any = object()

T = TypeVar("T")


async def admitted(
    request: Request, gateway: Gateway, wanted: PictureRequest
) -> tuple[Accepted, AsyncGenerator[Event, None]]:
    """Ask for pictures.

    Args:
        request: The client's request; when the client is gone, so are the rows of its pictures.
        gateway: The way to the engines.
        wanted: What to draw.

    Returns:
        The admission, and what happens after it, up to `Done`. Whoever does not read to the end
        closes it.

    Raises:
        CustomDiffusionError: The request was refused. Reading raises what fails later.
    """
    events = _checked(while_heard(request, gateway.draw(wanted)))
    first = await anext(events)
    assert isinstance(first, Accepted)
    return first, events


async def charged(
    events: AsyncGenerator[Event, None], give_back: Callable[[], object]
) -> AsyncGenerator[Event, None]:
    """Yield events, and give back what they were charged where nothing comes of them.

    A merge may turn out ill-posed, or a concept unreadable, when a request is long accepted. Who
    leaves, or has seen anything, has had what was paid for.

    Args:
        events: What happens after an admission.
        give_back: Is called when a failure is the first that happens.

    Raises:
        CustomDiffusionError: What the events raise.
    """
    is_drawn = False
    try:
        async with aclosing(events):
            async for event in events:
                is_drawn = True
                yield event
    except RequestCancelledError:
        raise
    except CustomDiffusionError:
        if not is_drawn:
            give_back()
        raise


async def while_heard(request: Request, source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Yield what a source yields until it ends, or the client leaves.

    Raises:
        RequestCancelledError: The client has left; the source is closed.
    """
    gone = asyncio.ensure_future(_gone(request))
    step: asyncio.Future[T] | None = None
    try:
        while True:
            step = asyncio.ensure_future(_next(source))
            await asyncio.wait({step, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                raise RequestCancelledError("the client has left")
            item = step.result()
            if item is _END:
                return
            yield item
    finally:
        gone.cancel()
        if step is not None and not step.done():
            step.cancel()
            with suppress(asyncio.CancelledError):
                await step
        closing = getattr(source, "aclose", None)
        if closing is not None:
            await closing()


async def _checked(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            yield event


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source, _END)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
