"""Concepts over HTTP: list, upload, describe, convert, roll back, delete; merges that are kept."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.exceptions import HTTPException

from cdcore.errors import ConfigError, UnknownConceptError
from cdcore.registry.entry import check_name
from serve.api.authentication import CallerDependency, ServiceDependency
from serve.api.concept_responses import base_model, concept_answer, concept_model
from serve.api.concept_selection import mix_of
from serve.api.schemas import (
    ConceptAnswer,
    ConceptChoice,
    ConceptList,
    DeletedAnswer,
    ErrorAnswer,
    KeptMergeAnswer,
    MergeRequest,
    ModelAnswer,
    ModelList,
    RollbackRequest,
)
from serve.api.service import Service
from serve.catalogue.caller import Caller
from serve.catalogue.listed_concept import ListedConcept
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.engine.request import Picture, PictureRequest
from serve.gateway.exporting import check_format
from serve.gateway.facts import ServiceFacts
from serve.payloads.event_stream import admitted
from serve.payloads.image_file import PictureFile, encode
from serve.payloads.json_safe import json_safe
from serve.payloads.upload_checks import check_upload, max_upload_bytes

__all__ = ["router"]

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer},
    401: {"model": ErrorAnswer},
    404: {"model": ErrorAnswer},
}

router = APIRouter(responses=_ERRORS)

_Name = Annotated[str, Path(min_length=1, max_length=100, examples=["mycat"])]
_Version = Annotated[
    str | None, Query(max_length=40, description="or its number; unset, the current one")
]
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/v1/models", tags=["models"])
async def models(caller: CallerDependency, service: ServiceDependency) -> ModelList:
    """List what a request's ``model`` may be: the base, and its concepts."""
    facts = await service.facts()
    return ModelList(
        data=[
            base_model(facts),
            *(
                concept_model(listed)
                for listed in service.catalogue.concepts(caller)
                if listed.base_fingerprint == facts.base_fingerprint
            ),
        ]
    )


@router.get("/v1/models/{model:path}", tags=["models"])
async def model(model: str, caller: CallerDependency, service: ServiceDependency) -> ModelAnswer:
    """Describe one of them."""
    facts = await service.facts()
    if model == facts.base_name:
        return base_model(facts)
    return concept_model(service.catalogue.concept(model, caller))


@router.get("/v1/concepts", tags=["concepts"])
async def concepts(caller: CallerDependency, service: ServiceDependency) -> ConceptList:
    """List all concepts that the key may use."""
    facts = await service.facts()
    listed = service.catalogue.concepts(caller)
    return ConceptList(data=[concept_answer(one, facts) for one in listed])


@router.post("/v1/concepts/merge", tags=["concepts"])
async def merge(
    body: MergeRequest, caller: CallerDependency, service: ServiceDependency
) -> KeptMergeAnswer:
    """Merge concepts and keep the result under a name, like any other concept."""
    facts = await service.facts()
    _check_new_name(body.name, facts)
    choices = [
        ConceptChoice(name=given) if isinstance(given, str) else given for given in body.concepts
    ]
    mix = await asyncio.to_thread(mix_of, choices, body.method, facts, service.catalogue, caller)
    kept = await service.gateway.merge(mix.parts, body.method, body.name)
    listed = await asyncio.to_thread(service.catalogue.publish, body.name, kept.data, caller)
    return KeptMergeAnswer(
        concept=await _described(listed, service, caller), report=json_safe(kept.report)
    )


@router.get("/v1/concepts/{name}", tags=["concepts"])
async def concept(
    name: _Name, caller: CallerDependency, service: ServiceDependency
) -> ConceptAnswer:
    """Describe a concept."""
    return await _described(service.catalogue.concept(name, caller), service, caller)


@router.put("/v1/concepts/{name}", tags=["concepts"], openapi_extra=_UPLOAD)
async def put_concept(
    name: _Name, request: Request, caller: CallerDependency, service: ServiceDependency
) -> ConceptAnswer:
    """Upload a concept file; if there is one of that name, this is its next version."""
    facts = await service.facts()
    _check_new_name(name, facts)
    async with service.upload_turn:
        data = await _body(request, max_upload_bytes(facts))
        await asyncio.to_thread(check_upload, data, facts)
        listed = await asyncio.to_thread(service.catalogue.publish, name, data, caller)
    return await _described(listed, service, caller)


@router.delete("/v1/concepts/{name}", tags=["concepts"])
async def delete_concept(
    name: _Name,
    caller: CallerDependency,
    service: ServiceDependency,
    version: _Version = None,
) -> DeletedAnswer:
    """Delete a concept, or one version that is not current."""
    await asyncio.to_thread(service.catalogue.delete, name, version, caller)
    return DeletedAnswer(id=name, version=version)


@router.post("/v1/concepts/{name}/rollback", tags=["concepts"])
async def rollback(
    name: _Name, body: RollbackRequest, caller: CallerDependency, service: ServiceDependency
) -> ConceptAnswer:
    """Make an earlier version current again."""
    listed = await asyncio.to_thread(service.catalogue.rollback, name, body.version, caller)
    return await _described(listed, service, caller)


@router.get("/v1/concepts/{name}/file", tags=["concepts"], response_class=Response)
async def concept_file(
    name: _Name,
    caller: CallerDependency,
    service: ServiceDependency,
    format: Annotated[str, Query(max_length=40, description="as the concept lists them")] = (
        "concept"
    ),
    version: _Version = None,
) -> Response:
    """Download a concept, in this project's format or another tool's."""
    check_format(format)
    reference = await asyncio.to_thread(service.catalogue.reference, name, version, caller)
    download = await service.gateway.export(reference, format)
    return Response(
        download.data,
        media_type=download.media_type,
        headers={"Content-Disposition": f'attachment; filename="{download.file_name}"'},
    )


@router.get("/v1/concepts/{name}/thumbnail", tags=["concepts"], response_class=Response)
async def thumbnail(
    name: _Name, request: Request, caller: CallerDependency, service: ServiceDependency
) -> Response:
    """Return a picture of a concept: drawn once, from the same noise for every concept."""
    listed = service.catalogue.concept(name, caller)
    reference = ConceptRef(name, listed.version)
    data = service.thumbnails.get(reference)
    if data is None:
        async with service.thumbnail_turn:
            data = service.thumbnails.get(reference)
            if data is None:
                data = await _draw_thumbnail(request, listed, reference, service)
                service.thumbnails.put(reference, data, len(data))
    return Response(data, media_type="image/png")


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise HTTPException(413, f"a concept of this base takes at most {most} bytes")
        parts.append(part)
    return b"".join(parts)


async def _draw_thumbnail(
    request: Request, listed: ListedConcept, reference: ConceptRef, service: Service
) -> bytes:
    facts = await service.facts()
    if listed.base_fingerprint != facts.base_fingerprint:
        raise UnknownConceptError(f"concept {listed.name!r} is of another base: no picture of it")
    wanted = PictureRequest(
        prompt=f"photo of a {listed.phrases[0]}",
        seeds=(0,),
        steps=facts.steps,
        guidance_scale=facts.guidance_scale,
        sampler=facts.sampler,
        mix=ConceptMix.of((reference, 1.0), method=""),
        client="thumbnails",
    )
    _, events = await admitted(request, service.gateway, wanted)
    pictures = [event async for event in events if isinstance(event, Picture)]
    settings = {"prompt": wanted.prompt, "seed": 0, "concept": listed.name}
    return await asyncio.to_thread(encode, pictures[0].pixels, settings, PictureFile())


async def _described(listed: ListedConcept, service: Service, caller: Caller) -> ConceptAnswer:
    versions = await asyncio.to_thread(service.catalogue.versions, listed.name, caller)
    return concept_answer(listed, await service.facts(), versions)


def _check_new_name(name: str, facts: ServiceFacts) -> None:
    if check_name(name) == facts.base_name:
        raise ConfigError(f"{name!r} is the base's name as a model; choose another")
