"""The HTTP application: plain FastAPI over a `serve.api.service.Service`; no Ray."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.types import Scope

from cdcore.errors import ConfigError
from serve.api.concept_routes import router as concepts
from serve.api.errors import add_error_handlers
from serve.api.image_routes import router as images
from serve.api.middleware import HttpGuard
from serve.api.service import Service
from serve.api.state_routes import router as state

__all__ = ["http_app"]

_MAX_BODY = 256 * 1024
_MAX_UPLOAD = 2**30
"""A concept of Stable Diffusion XL takes two thirds of this; each base has a limit of its own."""

_DESCRIPTION = """
Pictures of everything a base model was ever taught, in OpenAI's images API.

Name concepts in `model` (`"mycat"`, or `"mycat+mychair"` to merge them for this request), in
`concepts` with weights and versions, or just by their tokens in the prompt.
"""


def http_app(service: Service) -> FastAPI:
    """Make the application of a service, which it starts and closes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.close()

    app = FastAPI(
        title="Custom Diffusion",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        dependencies=[Depends(_check_query)],
    )
    app.state.service = service
    add_error_handlers(app)
    for router in (images, concepts, state):
        app.include_router(router)
    app.add_middleware(HttpGuard, max_body=_max_body)
    return app


async def _check_query(request: Request) -> None:
    """Pass if a request has no query parameter that its route does not take.

    A misspelled ``?version=`` would otherwise delete every version of a concept.

    Raises:
        ConfigError: The request has such a parameter.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = {field.alias for field in route.dependant.query_params}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        expected = f"expected {' or '.join(sorted(known))}" if known else "this route takes none"
        raise ConfigError(f"unknown query parameter {unknown[0][:100]!r}; {expected}")


def _max_body(scope: Scope) -> int:
    is_upload = scope["method"] == "PUT" and scope["path"].startswith("/v1/concepts/")
    return _MAX_UPLOAD if is_upload else _MAX_BODY
