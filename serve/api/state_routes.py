"""Whether the service lives, whether it can draw, and a page to try it."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from cdcore.errors import EngineStoppedError
from serve.api.authentication import ServiceDependency
from serve.api.schemas import ErrorAnswer

__all__ = ["router"]

router = APIRouter(tags=["state"])

_WAIT_S = 10.0
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"
)
"""The policy of the page, which puts nothing of others into itself but texts and pictures."""


class Alive(BaseModel):
    """The HTTP side answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """An engine works."""

    status: Literal["ready"] = "ready"
    base: str
    turn_age_seconds: float
    drain_seconds: float
    concepts: int


@router.get("/", response_class=HTMLResponse)
async def page() -> HTMLResponse:
    """Return a page for people."""
    return HTMLResponse(_page(), headers={"Content-Security-Policy": _POLICY})


@router.get("/healthz")
async def healthz() -> Alive:
    """Say that this process answers; it says nothing of engines."""
    return Alive()


@router.get("/readyz", responses={503: {"model": ErrorAnswer}})
async def readyz(service: ServiceDependency) -> Ready:
    """Say that an engine is warm, its examples at hand, its last turn not too long."""
    facts = await service.facts()
    await service.examples_published()
    try:
        figures = await asyncio.wait_for(service.gateway.figures(), _WAIT_S)
    except TimeoutError:
        raise EngineStoppedError(f"no engine has answered within {_WAIT_S:.0f} s") from None
    return Ready(
        base=facts.base_name,
        turn_age_seconds=figures["turn_age_seconds"],
        drain_seconds=figures["drain_seconds"],
        concepts=service.catalogue.count,
    )


@cache
def _page() -> str:
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
