"""Tests of `serve.api.application`."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from starlette.testclient import TestClient

from cdcore.registry.registry import Registry
from serve.api.application import _check_query
from serve.api.errors import add_error_handlers
from serve.gateway.host import EngineHost
from tests.serve.service_case import serving


def test_the_reference_has_every_route_with_examples(
    host: EngineHost, shared_registry: Registry
) -> None:
    with serving(host, shared_registry) as client:
        reference = client.get("/openapi.json").json()
        assert client.get("/docs").status_code == 200
    paths = reference["paths"]
    for path, methods in (
        ("/v1/images/generations", {"post"}),
        ("/v1/models", {"get"}),
        ("/v1/concepts", {"get"}),
        ("/v1/concepts/{name}", {"get", "put", "delete"}),
        ("/v1/concepts/merge", {"post"}),
        ("/healthz", {"get"}),
        ("/readyz", {"get"}),
    ):
        assert methods <= set(paths[path]), path
    schemas = reference["components"]["schemas"]
    assert schemas["ImageRequest"]["examples"]
    assert schemas["MergeRequest"]["examples"]
    upload = paths["/v1/concepts/{name}"]["put"]["requestBody"]["content"]
    assert upload["application/octet-stream"]["schema"]["format"] == "binary"
    assert "HTTPBearer" in reference["components"]["securitySchemes"]
    for methods in paths.values():
        for route in methods.values():
            assert route.get("description"), route["operationId"]


@pytest.fixture
def client() -> TestClient:
    app = FastAPI(dependencies=[Depends(_check_query)])
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
