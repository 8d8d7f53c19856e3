"""The HTTP application: plain FastAPI over a `serve.service.Service`; no Ray."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.types import Scope

from serve.http_errors import add_error_handlers
from serve.http_guard import HttpGuard
from serve.query_guard import check_query
from serve.routes_concepts import router as concepts
from serve.routes_images import router as images
from serve.routes_state import router as state
from serve.service import Service

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
        dependencies=[Depends(check_query)],
    )
    app.state.service = service
    add_error_handlers(app)
    for router in (images, concepts, state):
        app.include_router(router)
    app.add_middleware(HttpGuard, max_body=_max_body)
    return app


def _max_body(scope: Scope) -> int:
    is_upload = scope["method"] == "PUT" and scope["path"].startswith("/v1/concepts/")
    return _MAX_UPLOAD if is_upload else _MAX_BODY
