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
            app: The application.
            max_body: Returns the most bytes that a request's body may have.
        """
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        token = _current.set(exchange.id)
        try:
            await self._answer(scope, receive, exchange.send)
        except Exception:
            exchange.status = 500
            raise
        finally:
            _current.reset(token)
            _log.info("%s", json.dumps(exchange.line()))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, unless the body is announced as too large."""
        most = self._max_body(scope)
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > most:
            await error_answer(413, _too_large(most), "body_too_large")(scope, receive, send)
        else:
            await self._app(scope, _Limited(receive, most), send)


class _Exchange:
    """A request and what was answered to it: its id, its headers, its line in the log."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = Headers(scope=scope).get(_ID_HEADER, "")
        self._is_given = bool(_ID.fullmatch(given))
        self.id = given if self._is_given else uuid.uuid4().hex
        self.status = 0
        self._scope = scope
        self._send = send
        self._bytes = 0
        self._started = time.monotonic()

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, noting its status and its size."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._set_headers(MutableHeaders(scope=message))
        elif message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    def _set_headers(self, headers: MutableHeaders) -> None:
        # Who gave the id knows it; Ray's proxy both gives one and adds it to the answer.
        if not self._is_given:
            headers[_ID_HEADER] = self.id
        headers["x-content-type-options"] = "nosniff"

    def line(self) -> dict[str, Any]:
        """Return what the log says of the exchange."""
        return {
            "request_id": self.id,
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self.status,
            "bytes": self._bytes,
            "ms": round(1000 * (time.monotonic() - self._started), 1),
            **self._scope.get("state", {}).get("noted", {}),
        }


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
