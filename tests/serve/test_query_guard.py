"""Tests of `serve.query_guard`."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from starlette.testclient import TestClient

from serve.http_errors import add_error_handlers
from serve.query_guard import check_query


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(dependencies=[Depends(check_query)])
    add_error_handlers(app)

    @app.get("/plain/{name}")
    async def plain(name: str) -> str:
        return name

    @app.get("/asked")
    async def asked(version: str = "", kind: Annotated[str, Query(alias="format")] = "") -> str:
        return version + kind

    return TestClient(app)


def test_parameters_that_a_route_takes_pass(client: TestClient) -> None:
    assert client.get("/plain/a").json() == "a"
    assert client.get("/asked?version=1&format=x").json() == "1x"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/plain/a?name=b", "unknown query parameter 'name'; this route takes none"),
        ("/asked?versio=1", "unknown query parameter 'versio'; expected format or version"),
        ("/asked?kind=1", "unknown query parameter 'kind'; expected format or version"),
    ],
)
def test_others_are_refused(client: TestClient, path: str, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == says
