"""Tests of `serve.api.errors`."""

import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from cdcore import errors
from cdcore.errors import OverloadedError
from serve.api.errors import add_error_handlers, status_of


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (OverloadedError("full", 2.2), 429, "requests", "rate_limit_exceeded"),
        (errors.EngineStoppedError("x"), 503, "server_error", "service_unavailable"),
        (errors.DeadlineError("x"), 408, "invalid_request_error", "deadline_exceeded"),
        (errors.ServingError("x"), 500, "server_error", "server_error"),
        (errors.UnknownConceptError("x"), 404, "invalid_request_error", "model_not_found"),
        (errors.RegistryError("x"), 400, "invalid_request_error", "invalid_value"),
        (errors.BaseMismatchError("x"), 400, "invalid_request_error", "invalid_concept"),
        (errors.MergeError("x"), 400, "invalid_request_error", "ill_posed_merge"),
        (HTTPException(404, "x"), 404, "invalid_request_error", "not_found"),
        (HTTPException(401, "x"), 401, "authentication_error", "invalid_api_key"),
        (OSError("/secret"), 503, "server_error", "service_unavailable"),
        (ZeroDivisionError("secret"), 500, "server_error", "defect"),
    ],
)
def test_every_error_is_one_object(error: Exception, status: int, kind: str, code: str) -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/")
        missing = client.get("/nowhere")
    assert answer.status_code == status
    body = answer.json()["error"]
    assert (body["type"], body["code"]) == (kind, code)
    assert "secret" not in body["message"]
    if status == 429:
        assert answer.headers["retry-after"] == "3"
    assert (status == 503) == (answer.headers.get("retry-after") == "5")
    assert missing.json()["error"]["code"] == "not_found"


def test_messages_are_fit_for_json_and_bounded() -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise errors.ConfigError("\ud800" + "x" * 10_000)

    with TestClient(app) as client:
        assert len(client.get("/").json()["error"]["message"]) == 2000


def test_a_body_that_is_no_json_is_no_parameter() -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.post("/")
    async def take(body: dict[str, int]) -> None:
        pass

    with TestClient(app) as client:
        answer = client.post(
            "/", content='{"prompt":', headers={"content-type": "application/json"}
        )
    assert answer.status_code == 400
    body = answer.json()["error"]
    assert (body["param"], body["code"]) == (None, "invalid_value")
    assert body["message"].startswith("the body is no JSON: ")


def test_every_class_of_the_tree_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) > 10
    for kind in kinds:
        assert 400 <= status_of(kind("x"))[0] < 600
