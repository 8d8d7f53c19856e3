"""Tests of `serve.api.concept_routes`."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from cdcore.concepts.storage import load_concept, load_merge_inputs, save_concept
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.gateway.exporting import EXPORTS
from serve.gateway.host import EngineHost
from tests.serve.service_case import make_concept, serving
from tests.serve.upload_case import mutations


@pytest.fixture(scope="module")
def client(host: EngineHost, shared_registry: Registry) -> Iterator[TestClient]:
    with serving(host, shared_registry) as client:
        yield client


@pytest.fixture(scope="module")
def another(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A concept with the token of another concept."""
    concept = make_concept(tiny_base, "another", noun="dog", token="<mycat>")
    path = tmp_path_factory.mktemp("another") / "another.safetensors"
    save_concept(concept, path, tiny_base)
    return path.read_bytes()


def test_concepts_are_listed_with_how_to_name_them(client: TestClient) -> None:
    listed = {one["id"]: one for one in client.get("/v1/concepts").json()["data"]}
    assert {"mycat", "mychair", "mydog"} <= set(listed)
    assert listed["mycat"]["phrases"] == ["<mycat> cat"]
    assert listed["mycat"]["is_servable"] is True
    one = client.get("/v1/concepts/mycat").json()
    assert one["versions"] == [one["version"]]
    assert one["formats"] == list(EXPORTS)
    models = client.get("/v1/models").json()["data"]
    assert {"mycat", "mychair", "mydog"} < {model["id"] for model in models}
    for model in models:
        assert client.get(f"/v1/models/{model['id']}").json() == model
    missing = client.get("/v1/models/nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_an_upload_is_drawn_at_once_replaced_rolled_back_and_deleted(
    client: TestClient, mergeable: Mapping[str, Path], another: bytes
) -> None:
    put = client.put("/v1/concepts/pet", content=mergeable["mycat"].read_bytes())
    assert put.status_code == 200, put.text
    first = put.json()["version"]
    body = {"model": "pet", "prompt": "a <mycat> cat", "seed": 1, "num_inference_steps": 2}
    assert client.post("/v1/images/generations", json=body).status_code == 200
    second = client.put("/v1/concepts/pet", content=another).json()["version"]
    assert client.get("/v1/concepts/pet").json()["versions"] == [first, second]
    pinned = {**body, "model": "pet@1"}
    provenance = client.post("/v1/images/generations", json=pinned).json()["provenance"]
    assert provenance["concepts"] == [
        {"name": "pet", "version": first, "weight": 1.0, "unread": False}
    ]
    refused = client.delete("/v1/concepts/pet", params={"version": "2"})
    assert refused.status_code == 400
    assert "is current" in refused.json()["error"]["message"]
    back = client.post("/v1/concepts/pet/rollback", json={})
    assert back.json()["version"] == first
    assert client.delete("/v1/concepts/pet", params={"version": "2"}).json()["deleted"] is True
    assert client.delete("/v1/concepts/pet").status_code == 200
    for method, path in (("get", ""), ("delete", ""), ("get", "/file"), ("get", "/thumbnail")):
        assert client.request(method, f"/v1/concepts/pet{path}").status_code == 404
    assert client.post("/v1/images/generations", json=body).status_code == 404


def test_a_concept_is_downloaded_in_every_format(
    client: TestClient, shared_registry: Registry
) -> None:
    for name in EXPORTS:
        found = client.get("/v1/concepts/mycat/file", params={"format": name})
        assert found.status_code == 200, found.text
        assert 'filename="mycat.' in found.headers["content-disposition"]
        if found.headers["content-type"] == "application/zip":
            assert zipfile.ZipFile(io.BytesIO(found.content)).testzip() is None
    whole = client.get("/v1/concepts/mycat/file")
    assert whole.content == shared_registry.resolve("mycat").read_bytes()
    wrong = client.get("/v1/concepts/mycat/file", params={"format": "exe"})
    assert wrong.status_code == 400


def test_a_thumbnail_is_drawn_once(client: TestClient, host: EngineHost) -> None:
    first = client.get("/v1/concepts/mychair/thumbnail")
    before = host.engine.counts["pictures"]
    assert client.get("/v1/concepts/mychair/thumbnail").content == first.content
    assert host.engine.counts["pictures"] == before
    image = Image.open(io.BytesIO(first.content))
    assert "<mychair> chair" in json.loads(image.info["parameters"])["prompt"]


def test_a_merge_is_kept_under_a_name_with_tokens_that_do_not_collide(
    client: TestClient, another: bytes, tmp_path: Path
) -> None:
    assert client.put("/v1/concepts/another", content=another).status_code == 200
    chosen = [{"name": "mycat", "weight": 1.0}, {"name": "another", "weight": 0.5}]
    both = client.post("/v1/images/generations", json={"prompt": "a cat", "concepts": chosen})
    assert both.status_code == 400
    assert "POST /v1/concepts/merge" in both.json()["error"]["message"]
    body = {"name": "pair", "concepts": chosen, "method": "ridge"}
    kept = client.post("/v1/concepts/merge", json=body)
    assert kept.status_code == 200, kept.text
    concept, report = kept.json()["concept"], kept.json()["report"]
    assert sorted(concept["tokens"]) == ["<mycat-2>", "<mycat>"]
    assert list(report["renamed"].values()) == ["<mycat-2>"]
    assert {parent["name"] for parent in concept["parents"]} == {"mycat", "another"}
    drawn = {"prompt": "a <mycat> cat and a <mycat-2> dog", "num_inference_steps": 1}
    answer = client.post("/v1/images/generations", json={**drawn, "model": "pair"})
    assert answer.status_code == 200, answer.text
    path = tmp_path / "pair.safetensors"
    path.write_bytes(client.get("/v1/concepts/pair/file").content)
    assert load_concept(path).name == load_merge_inputs(path).name == "pair"
    assert client.get("/v1/concepts/pair/file", params={"format": "kohya"}).status_code == 200
    for name in ("pair", "another"):
        client.delete(f"/v1/concepts/{name}")


@pytest.mark.parametrize(
    ("name", "status"),
    [("..%2f..%2fetc", 404), ("a%00b", 400), ("a b", 400), ("é", 400), ("x" * 101, 400)],
)
def test_names_are_names(
    client: TestClient, mergeable: Mapping[str, Path], name: str, status: int
) -> None:
    answer = client.put(f"/v1/concepts/{name}", content=mergeable["mycat"].read_bytes())
    assert answer.status_code in (status, 400, 404)
    assert answer.json()["error"]["message"]


def test_mutated_uploads_leave_nothing_behind(
    client: TestClient, mergeable: Mapping[str, Path], shared_registry: Registry
) -> None:
    folder = Path(shared_registry.store.address())

    def content() -> list[str]:
        return sorted(str(path) for path in folder.rglob("*") if path.is_file())

    before, statuses = content(), set()
    for data in mutations(mergeable["mycat"].read_bytes(), 150, seed=1):
        answer = client.put("/v1/concepts/evil", content=data)
        statuses.add(answer.status_code)
        if answer.status_code == 200:
            assert client.get("/v1/concepts").status_code == 200
            assert client.delete("/v1/concepts/evil").status_code == 200
    assert statuses <= {200, 400}
    assert 400 in statuses
    assert content() == before


def test_a_body_that_is_too_long_is_cut_off(client: TestClient) -> None:
    too_long = client.put("/v1/concepts/big", content=b"x" * 4_000_000)
    assert too_long.status_code == 413, too_long.text
    prompt = {"prompt": "x" * 300_000}
    assert client.post("/v1/images/generations", json=prompt).status_code == 413


def test_a_misspelled_query_parameter_deletes_nothing(
    client: TestClient, mergeable: Mapping[str, Path]
) -> None:
    assert client.put("/v1/concepts/kept", content=mergeable["mycat"].read_bytes()).is_success
    refused = client.delete("/v1/concepts/kept?versio=1")
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == (
        "unknown query parameter 'versio'; expected version"
    )
    assert client.get("/v1/concepts/kept").is_success
    assert client.get("/v1/models?x=1").status_code == 400
    assert client.delete("/v1/concepts/kept").is_success


def test_no_concept_takes_the_name_of_the_base(
    client: TestClient, mergeable: Mapping[str, Path]
) -> None:
    (base,) = (m["id"] for m in client.get("/v1/models").json()["data"] if m["created"] == 0)
    put = client.put(f"/v1/concepts/{base}", content=mergeable["mycat"].read_bytes())
    body = {"name": base, "concepts": ["mycat", "mychair"]}
    for answer in (put, client.post("/v1/concepts/merge", json=body)):
        assert answer.status_code == 400
        assert "is the base's name as a model" in answer.json()["error"]["message"]


def test_what_a_client_is_told_of_versions_names_no_place_of_this_machine(
    client: TestClient, mergeable: Mapping[str, Path]
) -> None:
    assert client.put("/v1/concepts/told", content=mergeable["mycat"].read_bytes()).is_success
    rolled = client.post("/v1/concepts/told/rollback", json={"version": "99"})
    deleted = client.delete("/v1/concepts/told?version=99")
    for answer in (rolled, deleted):
        assert answer.status_code == 404
        assert answer.json()["error"]["message"].startswith(
            "there is no version '99' of 'told'; it has 1-"
        )
    assert client.delete("/v1/concepts/told").is_success
