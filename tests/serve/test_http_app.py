"""Tests of `serve.http_app`."""

from cdcore.registry import Registry
from serve.engine_host import EngineHost
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
