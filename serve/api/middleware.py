"""What stands before every request: its id, a limit for its body, and one line in the log."""

import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api.errors import error_answer

__all__ = ["HttpGuard", "request_id"]

_log = logging.getLogger("serve.access")

_ID_HEADER = "x-request-id"
_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request that is being answered, or nothing outside of one."""
    return _current.get()


class HttpGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, max_body: Callable[[Scope], int]) -> None:
        """Stand before an application.

        Args:
            app: It.
            max_body: The most bytes that a request's body may have.
        """
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(_ID_HEADER, "")
        is_given = bool(_ID.fullmatch(given))
        own = given if is_given else uuid.uuid4().hex
        token = _current.set(own)
        told: dict[str, Any] = {"status": 0, "bytes": 0}
        started = time.monotonic()

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                answer = MutableHeaders(scope=message)
                # Who gave it knows it; Ray's proxy both gives it and adds it to the answer.
                if not is_given:
                    answer[_ID_HEADER] = own
                answer["x-content-type-options"] = "nosniff"
            elif message["type"] == "http.response.body":
                told["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            most = self._max_body(scope)
            length = headers.get("content-length", "0")
            if length.isdecimal() and int(length[:20]) > most:
                await error_answer(413, _too_large(most), "body_too_large")(
                    scope, receive, send_noted
                )
            else:
                await self._app(scope, _Limited(receive, most), send_noted)
        except Exception:
            told["status"] = 500
            raise
        finally:
            _current.reset(token)
            _log.info(
                "%s",
                json.dumps(
                    {
                        "request_id": own,
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": told["status"],
                        "bytes": told["bytes"],
                        "ms": round(1000 * (time.monotonic() - started), 1),
                        **scope.get("state", {}).get("noted", {}),
                    }
                ),
            )


class _Limited:
    """A body that is cut off with an error where it becomes too long."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._read = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise HTTPException(413, _too_large(self._most))
        return message


def _too_large(most: int) -> str:
    return f"the body of the request is larger than {most} bytes"
