"""Errors as OpenAI's service words them: one JSON object, a status, and when to come again."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cdcore.errors import (
    ConceptFileError,
    CustomDiffusionError,
    DeadlineError,
    EngineStoppedError,
    MergeError,
    OverloadedError,
    RequestCancelledError,
    ServingError,
    TokenError,
    UnknownConceptError,
)
from serve.payloads.json_safe import text_safe

__all__ = ["CLIENT_GONE", "add_error_handlers", "error_answer", "status_of"]

_log = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Status, in logs, of a request whose client has left."""

_STATUSES: tuple[tuple[type[CustomDiffusionError], int, str], ...] = (
    (OverloadedError, 429, "rate_limit_exceeded"),
    (EngineStoppedError, 503, "service_unavailable"),
    (DeadlineError, 408, "deadline_exceeded"),
    (RequestCancelledError, CLIENT_GONE, "cancelled"),
    (ServingError, 500, "server_error"),
    (UnknownConceptError, 404, "model_not_found"),
    (MergeError, 400, "ill_posed_merge"),
    (TokenError, 400, "invalid_token"),
    (ConceptFileError, 400, "invalid_concept"),
    (CustomDiffusionError, 400, "invalid_value"),
)
"""The status and code of an error are those of the first class that it is an instance of."""

_CODES = {
    400: "invalid_value",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}
_RETRY_S = 5
_MAX_MESSAGE = 2000


def status_of(error: CustomDiffusionError) -> tuple[int, str]:
    """Return the status of an error, and its code."""
    return next((status, code) for kind, status, code in _STATUSES if isinstance(error, kind))


def error_answer(
    status: int,
    message: str,
    code: str | None,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as OpenAI's clients understand it."""
    return JSONResponse(
        error_body(status, message, code, param), status_code=status, headers=dict(headers or {})
    )


def error_body(
    status: int, message: str, code: str | None, param: str | None = None
) -> dict[str, Any]:
    """Return the JSON of an error."""
    if status == 401:
        kind = "authentication_error"
    elif status == 429:
        kind = "requests"
    else:
        kind = "invalid_request_error" if status < 500 else "server_error"
    message = text_safe(message[:_MAX_MESSAGE])
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def answer_to(error: CustomDiffusionError) -> JSONResponse:
    """Return the answer to an error of this project."""
    status, code = status_of(error)
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    elif status == 503:
        headers["Retry-After"] = str(_RETRY_S)
    return error_answer(status, str(error), code, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Let an application answer every error in OpenAI's form."""

    @app.exception_handler(CustomDiffusionError)
    async def on_known(request: Request, error: CustomDiffusionError) -> JSONResponse:
        return answer_to(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Of a union, the member that came furthest says most.
        first = max(error.errors(), key=lambda one: len(one["loc"]))
        if first["type"] == "json_invalid":
            reason = first.get("ctx", {}).get("error", "it cannot be parsed")
            return error_answer(400, f"the body is no JSON: {reason}", "invalid_value")
        where = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
        param = text_safe(".".join(where))[:100] or None
        return error_answer(400, f"{param or 'body'}: {first['msg']}", "invalid_value", param=param)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code)
        return error_answer(error.status_code, str(error.detail), code, headers=error.headers)

    @app.exception_handler(OSError)
    async def on_os(request: Request, error: OSError) -> JSONResponse:
        # The message may hold paths of this machine.
        _log.error("a file or the registry cannot be used: %s", error)
        return error_answer(
            503,
            "the registry of concepts cannot be reached at the moment; try again",
            "service_unavailable",
            headers={"Retry-After": str(_RETRY_S)},
        )

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> JSONResponse:
        return error_answer(500, "this is a defect of the service; its log has more", "defect")
