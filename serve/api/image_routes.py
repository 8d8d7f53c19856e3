"""OpenAI's images API: pictures as base64, behind URLs, or as a stream of events."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from cdcore.errors import CustomDiffusionError
from serve.api.authentication import CallerDependency, ServiceDependency
from serve.api.errors import error_body, status_of
from serve.api.generation import Generation, generation_of
from serve.api.schemas import (
    ErrorAnswer,
    ImageAnswer,
    ImageData,
    ImageRequest,
)
from serve.api.service import Service
from serve.engine.request import Done, Event, Picture, Preview
from serve.payloads.event_stream import admitted, charged
from serve.payloads.image_file import MEDIA_TYPES, encode
from serve.payloads.json_safe import json_safe

__all__ = ["router"]

router = APIRouter(tags=["images"])

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "a setting is impossible"},
    401: {"model": ErrorAnswer, "description": "no key, or a wrong one"},
    404: {"model": ErrorAnswer, "description": "no such concept"},
    429: {"model": ErrorAnswer, "description": "too much work; Retry-After says when"},
    503: {"model": ErrorAnswer, "description": "no engine is ready"},
}


@router.post(
    "/v1/images/generations",
    response_model=ImageAnswer,
    responses={
        **_ERRORS,
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "the pictures; with stream, events as OpenAI names them",
        },
    },
)
async def generate(
    body: ImageRequest, request: Request, caller: CallerDependency, service: ServiceDependency
) -> Any:
    """Draw pictures, of the base, of concepts, or of a merge of them."""
    facts = await service.facts()
    generation = await generation_of(body, facts, service, caller)
    charge = len(generation.wanted.seeds) * generation.wanted.steps
    limit = caller.row_steps_per_minute
    service.quotas.take(caller.owner, charge, limit, time.monotonic())
    give_back = partial(service.quotas.give_back, caller.owner, charge, limit)
    try:
        accepted, events = await admitted(request, service.gateway, generation.wanted)
    except CustomDiffusionError:
        give_back()
        raise
    events = charged(events, give_back)
    generation.note_unread(accepted.unread)
    if body.stream:
        return StreamingResponse(_stream(events, generation), media_type="text/event-stream")
    async with aclosing(events):
        return await _answer(events, generation, service, str(request.base_url))


@router.get(
    "/v1/images/files/{name}",
    responses={404: {"model": ErrorAnswer}, 200: {"content": {"image/png": {}}}},
    response_class=Response,
)
async def linked_picture(name: str, service: ServiceDependency) -> Response:
    """Return a picture that was asked for with response_format url, for as long as it is kept."""
    linked = service.links.get(name.partition(".")[0])
    if linked is None:
        raise HTTPException(404, "there is no such picture, or not any more")
    return Response(linked.data, media_type=linked.media_type)


async def _answer(
    events: AsyncIterator[Event], generation: Generation, service: Service, address: str
) -> ImageAnswer:
    data: dict[int, ImageData] = {}
    residuals: Mapping[str, float] = {}
    async for event in events:
        if isinstance(event, Done):
            residuals = event.residuals
        elif isinstance(event, Picture):
            file = await asyncio.to_thread(
                encode, event.pixels, generation.settings(event.seed), generation.file
            )
            data[event.number] = ImageData(
                seed=event.seed, **_held(file, generation, service, address)
            )
    generation.provenance.residuals = json_safe(dict(residuals))
    return ImageAnswer(
        created=int(time.time()),
        data=[data[number] for number in sorted(data)],
        output_format=generation.body.output_format,
        size="x".join(map(str, generation.size)),
        provenance=generation.provenance,
        warnings=generation.warnings,
    )


def _held(file: bytes, generation: Generation, service: Service, address: str) -> dict[str, str]:
    """Return a picture in the form that was asked for."""
    if generation.body.response_format == "b64_json":
        return {"b64_json": base64.b64encode(file).decode()}
    kind = generation.body.output_format
    name = service.links.put(file, MEDIA_TYPES[kind])
    return {"url": f"{address}v1/images/files/{name}.{kind}"}


async def _stream(
    events: AsyncGenerator[Event, None], generation: Generation
) -> AsyncIterator[str]:
    """Yield server-sent events: previews, each finished picture, and an error if there is one."""
    previews = dict.fromkeys(range(len(generation.wanted.seeds)), 0)
    last: Picture | None = None
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Preview):
                    number = previews[event.number]
                    previews[event.number] += 1
                    yield await _partial(event, number, generation)
                    continue
                # The merge's errors are known at the end: the last picture has them.
                if isinstance(event, Done):
                    generation.provenance.residuals = json_safe(dict(event.residuals))
                if last is not None:
                    yield await _completed(last, generation)
                last = event if isinstance(event, Picture) else None
    except CustomDiffusionError as error:
        status, code = status_of(error)
        yield _event("error", error_body(status, str(error), code))


async def _partial(event: Preview, number: int, generation: Generation) -> str:
    file = replace(generation.file, size=generation.size)
    data = await asyncio.to_thread(encode, event.pixels, {"preview": True}, file)
    place = {"partial_image_index": number, "image_index": event.number}
    return _event("image_generation.partial_image", {**_common(data, generation), **place})


async def _completed(event: Picture, generation: Generation) -> str:
    data = await asyncio.to_thread(
        encode, event.pixels, generation.settings(event.seed), generation.file
    )
    provenance = generation.provenance.model_dump()
    origin = {
        "seed": event.seed,
        "image_index": event.number,
        "provenance": provenance,
        "warnings": generation.warnings,
    }
    # OpenAI's pictures cost tokens; its clients expect the numbers.
    usage = {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 0,
    }
    return _event(
        "image_generation.completed", {**_common(data, generation), **origin, "usage": usage}
    )


def _common(data: bytes, generation: Generation) -> dict[str, Any]:
    return {
        "b64_json": base64.b64encode(data).decode(),
        "created_at": int(time.time()),
        "size": "x".join(map(str, generation.size)),
        "quality": "auto",
        "background": "opaque",
        "output_format": generation.body.output_format,
    }


def _event(
    kind: Literal["image_generation.partial_image", "image_generation.completed", "error"],
    fields: Mapping[str, Any],
) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"
