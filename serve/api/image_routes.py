"""OpenAI's images API: pictures as base64, behind URLs, or as a stream of events."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from cdcore.errors import ConfigError, CustomDiffusionError
from serve.api.authentication import CallerDependency, ServiceDependency
from serve.api.concept_selection import choose
from serve.api.errors import error_body, status_of
from serve.api.middleware import request_id
from serve.api.schemas import (
    ErrorAnswer,
    ImageAnswer,
    ImageData,
    ImageRequest,
    Provenance,
    UsedConcept,
)
from serve.api.service import Service
from serve.catalogue.caller import Caller
from serve.engine.request import Done, Event, Picture, PictureRequest, Preview
from serve.gateway.facts import ServiceFacts
from serve.payloads.event_stream import admitted
from serve.payloads.image_file import MEDIA_TYPES, PictureFile, encode
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """A request in all its parts."""

    body: ImageRequest
    wanted: PictureRequest
    size: tuple[int, int]
    provenance: Provenance

    @property
    def file(self) -> PictureFile:
        """How finished pictures are written."""
        return PictureFile(kind=self.body.output_format, quality=self.body.output_compression)

    def settings(self, seed: int) -> dict[str, Any]:
        """Return what a picture tells of itself."""
        told = self.provenance.model_dump(exclude={"residuals"})
        return {"prompt": self.body.prompt, "seed": seed, **told}


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
    order = await _order(body, facts, service, caller)
    charge = len(order.wanted.seeds) * order.wanted.steps
    limit = caller.row_steps_per_minute
    service.quotas.take(caller.owner, charge, limit, time.monotonic())
    try:
        told = await admitted(request, service.gateway, order.wanted)
    except CustomDiffusionError:
        service.quotas.give_back(caller.owner, charge, limit)
        raise
    if body.stream:
        return StreamingResponse(_stream(told, order), media_type="text/event-stream")
    async with aclosing(told):
        return await _answer(told, order, service, str(request.base_url))


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


async def _order(
    body: ImageRequest, facts: ServiceFacts, service: Service, caller: Caller
) -> _Order:
    longest = max(len(body.prompt), len(body.negative_prompt))
    if longest > service.settings.prompt_chars:
        raise ConfigError(
            f"a prompt has {longest} characters, at most {service.settings.prompt_chars} are read"
        )
    size = _size(body.size, facts)
    # Versions that are not current are looked up in the store.
    mix = await asyncio.to_thread(choose, body, facts, service.catalogue, caller)
    first = secrets.randbits(32) if body.seed is None else body.seed
    wanted = PictureRequest(
        prompt=body.prompt,
        seeds=tuple((first + number) % 2**64 for number in range(body.n)),
        steps=body.num_inference_steps or facts.steps,
        guidance_scale=body.guidance_scale or facts.guidance_scale,
        sampler=body.sampler or facts.sampler,
        negative_prompt=body.negative_prompt,
        mix=mix,
        size=size,
        client=caller.owner or body.user or "",
        deadline_s=body.deadline_s,
        deterministic=body.deterministic,
        previews=body.partial_images if body.stream else 0,
    )
    provenance = Provenance(
        request_id=request_id(),
        base=facts.base_name,
        base_fingerprint=facts.base_fingerprint,
        concepts=[
            UsedConcept(name=reference.name, version=reference.version, weight=weight)
            for reference, weight in mix.parts
        ],
        merge=mix.method or None,
        residuals={},
        steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        sampler=wanted.sampler,
        negative_prompt=wanted.negative_prompt,
        deterministic=wanted.deterministic,
    )
    return _Order(body=body, wanted=wanted, size=size, provenance=provenance)


def _size(text: str, facts: ServiceFacts) -> tuple[int, int]:
    if text == "auto":
        return facts.sizes[0]
    for width, height in facts.sizes:
        if text == f"{width}x{height}":
            return width, height
    allowed = ", ".join(f"{width}x{height}" for width, height in facts.sizes)
    raise ConfigError(f"size is {text!r}, this service draws auto, {allowed}")


async def _answer(
    told: AsyncIterator[Event], order: _Order, service: Service, address: str
) -> ImageAnswer:
    data: dict[int, ImageData] = {}
    residuals: Mapping[str, float] = {}
    async for event in told:
        if isinstance(event, Done):
            residuals = event.residuals
        elif isinstance(event, Picture):
            file = await asyncio.to_thread(
                encode, event.pixels, order.settings(event.seed), order.file
            )
            data[event.number] = ImageData(seed=event.seed, **_held(file, order, service, address))
    order.provenance.residuals = json_safe(dict(residuals))
    return ImageAnswer(
        created=int(time.time()),
        data=[data[number] for number in sorted(data)],
        output_format=order.body.output_format,
        size="x".join(map(str, order.size)),
        provenance=order.provenance,
    )


def _held(file: bytes, order: _Order, service: Service, address: str) -> dict[str, str]:
    """Return a picture in the form that was asked for."""
    if order.body.response_format == "b64_json":
        return {"b64_json": base64.b64encode(file).decode()}
    kind = order.body.output_format
    name = service.links.put(file, MEDIA_TYPES[kind])
    return {"url": f"{address}v1/images/files/{name}.{kind}"}


async def _stream(told: AsyncGenerator[Event, None], order: _Order) -> AsyncIterator[str]:
    """Yield server-sent events: previews, each finished picture, and an error if there is one."""
    previews = dict.fromkeys(range(len(order.wanted.seeds)), 0)
    last: Picture | None = None
    try:
        async with aclosing(told):
            async for event in told:
                if isinstance(event, Preview):
                    number = previews[event.number]
                    previews[event.number] += 1
                    yield await _partial(event, number, order)
                    continue
                # The merge's errors are known at the end: the last picture has them.
                if isinstance(event, Done):
                    order.provenance.residuals = json_safe(dict(event.residuals))
                if last is not None:
                    yield await _completed(last, order)
                last = event if isinstance(event, Picture) else None
    except CustomDiffusionError as error:
        status, code = status_of(error)
        yield _event("error", error_body(status, str(error), code))


async def _partial(event: Preview, number: int, order: _Order) -> str:
    file = replace(order.file, size=order.size)
    data = await asyncio.to_thread(encode, event.pixels, {"preview": True}, file)
    told = {"partial_image_index": number, "image_index": event.number}
    return _event("image_generation.partial_image", {**_common(data, order), **told})


async def _completed(event: Picture, order: _Order) -> str:
    data = await asyncio.to_thread(encode, event.pixels, order.settings(event.seed), order.file)
    provenance = order.provenance.model_dump()
    told = {"seed": event.seed, "image_index": event.number, "provenance": provenance}
    # OpenAI's pictures cost tokens; its clients expect the numbers.
    usage = {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 0,
    }
    return _event("image_generation.completed", {**_common(data, order), **told, "usage": usage})


def _common(data: bytes, order: _Order) -> dict[str, Any]:
    return {
        "b64_json": base64.b64encode(data).decode(),
        "created_at": int(time.time()),
        "size": "x".join(map(str, order.size)),
        "quality": "auto",
        "background": "opaque",
        "output_format": order.body.output_format,
    }


def _event(
    kind: Literal["image_generation.partial_image", "image_generation.completed", "error"],
    told: Mapping[str, Any],
) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **told})}\n\n"
