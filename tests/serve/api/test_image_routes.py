"""Tests of `serve.api.image_routes`."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cdcore.concepts.storage import save_concept
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from cdcore.registry.registry import Registry
from serve.api_keys import add_key
from serve.gateway.host import EngineHost
from tests.serve.engine_case import CONFIG, SIMPLE
from tests.serve.service_case import make_concept, serving

CAT = {"prompt": "a <mycat> cat", "num_inference_steps": 3, "seed": 5, "deterministic": True}
BOTH = {**CAT, "model": "mycat+mychair", "prompt": "a <mycat> cat on a <mychair> chair"}


@pytest.fixture(scope="module")
def client(host: EngineHost, shared_registry: Registry) -> Iterator[TestClient]:
    with serving(host, shared_registry) as client:
        yield client


def drawn(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(client: TestClient, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post("/v1/images/generations", json=body)
    return answer.status_code, answer.json()["error"]


def image_of(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_picture_says_how_it_was_made_and_can_be_made_again(client: TestClient) -> None:
    answer = drawn(client, **BOTH, n=2, merge="constrained", negative_prompt="fog")
    provenance = answer["provenance"]
    assert [(used["name"], used["weight"]) for used in provenance["concepts"]] == [
        ("mycat", 1.0),
        ("mychair", 1.0),
    ]
    assert provenance["merge"] == "constrained"
    assert provenance["residuals"]["mycat.constraint"] < 1e-3
    assert (provenance["steps"], provenance["sampler"], provenance["negative_prompt"]) == (
        3,
        "dpm++",
        "fog",
    )
    assert [one["seed"] for one in answer["data"]] == [5, 6]
    image = image_of(answer["data"][1]["b64_json"])
    assert image.size == (64, 64)
    inside = json.loads(image.info["parameters"])
    assert inside["seed"] == 6
    assert inside["prompt"] == BOTH["prompt"]
    assert inside["concepts"] == provenance["concepts"]
    versions = [{"name": one["name"], "version": one["version"]} for one in provenance["concepts"]]
    again = drawn(
        client,
        **{**BOTH, "seed": 6, "model": None},
        concepts=versions,
        merge="constrained",
        negative_prompt="fog",
    )
    assert np.array_equal(np.asarray(image), np.asarray(image_of(again["data"][0]["b64_json"])))


def test_concepts_are_found_by_the_tokens_of_the_prompt(client: TestClient) -> None:
    one = drawn(client, **{**CAT, "prompt": "a <MyCat> cat"})
    assert [used["name"] for used in one["provenance"]["concepts"]] == ["mycat"]
    plain = drawn(client, prompt="a red cat", num_inference_steps=1)
    assert plain["provenance"]["concepts"] == []
    assert plain["provenance"]["merge"] is None
    assert 0 <= plain["data"][0]["seed"] < 2**32


def test_pictures_behind_urls_are_those_in_base64(client: TestClient) -> None:
    link = drawn(client, **CAT, response_format="url", output_format="webp")["data"][0]
    assert link["b64_json"] is None
    assert link["url"].startswith("http://127.0.0.1:8000/v1/images/files/")
    found = client.get(link["url"])
    assert found.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(found.content)).format == "WEBP"
    held = drawn(client, **CAT, output_format="webp")["data"][0]["b64_json"]
    first, second = (
        np.asarray(picture) for picture in (Image.open(io.BytesIO(found.content)), image_of(held))
    )
    assert np.array_equal(first, second)
    missing = client.get("/v1/images/files/nothing.png")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_has_previews_and_ends_with_the_picture(client: TestClient) -> None:
    answer = client.post(
        "/v1/images/generations", json={**BOTH, "stream": True, "partial_images": 2}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    heard = events(answer.text)
    kinds = [kind for kind, _ in heard]
    partial, completed = "image_generation.partial_image", "image_generation.completed"
    assert kinds == [partial, partial, completed]
    assert [data["type"] for _, data in heard] == kinds
    assert [data["partial_image_index"] for _, data in heard[:2]] == [0, 1]
    assert {image_of(data["b64_json"]).size for _, data in heard} == {(64, 64)}
    assert 0 < heard[2][1]["provenance"]["residuals"]["mycat.held_out"] < 1
    whole = image_of(drawn(client, **BOTH)["data"][0]["b64_json"])
    last = image_of(heard[2][1]["b64_json"])
    assert np.array_equal(np.asarray(last), np.asarray(whole))


def test_a_stream_of_several_pictures_and_one_that_fails(client: TestClient) -> None:
    answer = client.post("/v1/images/generations", json={**CAT, "n": 3, "stream": True})
    seeds = [data["seed"] for _, data in events(answer.text)]
    assert sorted(seeds) == [5, 6, 7]
    body = {"prompt": "a <dora> cat", "model": "mycat", "stream": True}
    ((kind, data),) = events(client.post("/v1/images/generations", json=body).text)
    assert kind == "error"
    assert "<dora>" in data["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "status", "code", "says"),
    [
        ({"size": "96x64"}, 400, "invalid_value", "draws auto, 64x64"),
        ({"model": "nobody"}, 404, "model_not_found", "there is no concept 'nobody'"),
        ({"model": "mycat+mycat"}, 400, "invalid_value", "expected each concept once"),
        ({"model": "mycat", "concepts": ["mycat"]}, 400, "invalid_value", "in one of them"),
        ({"model": "mycat@7"}, 404, "model_not_found", "no version '7'"),
        ({"concepts": [{"name": "mycat", "weight": 99}]}, 400, "invalid_value", "weight"),
        ({"prompt": "a <dora> cat"}, 400, "invalid_token", "which no concept of this base"),
        ({"prompt": ""}, 400, "invalid_value", "prompt"),
        ({"prompt": "x" * 3000}, 400, "invalid_value", "3000 characters, at most 2000"),
        ({"prompt": "\ud800"}, 400, "invalid_value", ""),
        ({"sede": 1}, 400, "invalid_value", "sede"),
        ({"n": 11}, 400, "invalid_value", "n: "),
        ({"seed": 2**64}, 400, "invalid_value", "seed"),
        ({"merge": "median"}, 400, "invalid_value", "merge"),
        ({"num_inference_steps": 1000, "n": 10}, 400, "invalid_value", "row-steps"),
    ],
)
def test_refusals_name_what_is_wrong(
    client: TestClient, changes: dict[str, Any], status: int, code: str, says: str
) -> None:
    body = json.dumps({**CAT, **changes})
    answer = client.post(
        "/v1/images/generations", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


def test_too_much_work_is_told_to_come_again(client: TestClient, host: EngineHost) -> None:
    long = replace(SIMPLE, steps=1000, deterministic=False)
    assert CONFIG.backlog == 2000
    tickets = [host.engine.ask(replace(long, client=client)) for client in ("x", "y")]
    answer = client.post("/v1/images/generations", json={**CAT, "num_inference_steps": 900})
    for ticket in tickets:
        ticket.cancel()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    retried = 0
    while client.post("/v1/images/generations", json=CAT).status_code == 429:
        retried += 1
        assert retried < 100


def test_what_was_refused_costs_nothing_of_an_allowance(
    host: EngineHost, shared_registry: Registry, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, owner="alice", row_steps_per_minute=3000)
    with serving(host, shared_registry, keys=str(keys)) as client:
        client.headers["authorization"] = f"Bearer {key}"
        # No engine of this backlog could ever do it, so it is never a matter of the allowance.
        too_much = {**CAT, "num_inference_steps": 900, "n": 3}
        for _ in range(3):
            status, error = refused(client, **too_much)
            assert (status, error["code"]) == (400, "invalid_value")
            assert "row-steps" in error["message"]
        status, error = refused(client, **{**too_much, "n": 4})
        assert "this key has 3000 per minute" in error["message"]
        drawn(client, **CAT)


@pytest.mark.parametrize("stream", [False, True])
def test_a_merge_that_is_refused_after_it_was_accepted_costs_nothing_of_an_allowance(
    host: EngineHost,
    shared_registry: Registry,
    tiny_base: Base,
    tmp_path: Path,
    stream: bool,
) -> None:
    """Two concepts that want different things of one target."""
    keys = tmp_path / "keys.json"
    key = add_key(keys, owner="alice", row_steps_per_minute=3)
    cat = make_concept(tiny_base, "mycat")
    update = DenseUpdate(-cat.update.dense())
    # With hardly another row, the twin's target prompts are those of the cat.
    rows = {"<mytwin>": cat.tokens["<mycat>"] * (1 + 1e-4)}
    twin = make_concept(tiny_base, "mytwin", noun="cat", token="<mytwin>")
    save_concept(
        replace(twin, update=update, tokens=rows), tmp_path / "mytwin.safetensors", tiny_base
    )
    shared_registry.publish(tmp_path / "mytwin.safetensors")
    try:
        with serving(host, shared_registry, keys=str(keys)) as client:
            client.headers["authorization"] = f"Bearer {key}"
            body = {**CAT, "model": "mycat+mytwin", "prompt": "a <mycat> cat", "stream": stream}
            for _ in range(3):
                answer = client.post("/v1/images/generations", json=body)
                assert answer.status_code == (200 if stream else 400), answer.text
                assert "ill_posed_merge" in answer.text
            drawn(client, **CAT)
            assert refused(client, **CAT)[0] == 429
    finally:
        shared_registry.delete("mytwin")


FILLER = "a red cat on the grass " * 7


def test_what_is_not_read_of_a_prompt_is_warned_of_and_told_in_the_picture(
    client: TestClient,
) -> None:
    plain = drawn(client, **CAT)
    assert plain["warnings"] == []
    assert plain["provenance"]["unread"] == {}
    assert [used["unread"] for used in plain["provenance"]["concepts"]] == [False]
    body = {**BOTH, "prompt": f"a <mycat> cat {FILLER} near a <mychair> chair"}
    cut = drawn(client, **body)
    (warning,) = cut["warnings"]
    assert "of which this base reads 38" in warning
    assert "and with it <mychair>" in warning
    told = cut["provenance"]
    assert {used["name"]: used["unread"] for used in told["concepts"]} == {
        "mycat": False,
        "mychair": True,
    }
    assert told["unread"]["prompt"].endswith("near a <mychair> chair")
    inside = json.loads(image_of(cut["data"][0]["b64_json"]).info["parameters"])
    assert (inside["concepts"], inside["unread"]) == (told["concepts"], told["unread"])
    answer = client.post("/v1/images/generations", json={**body, "stream": True})
    ((_, completed),) = events(answer.text)
    assert completed["warnings"] == [warning]
    assert completed["provenance"]["unread"] == told["unread"]


@pytest.mark.parametrize("found", ["(<mycat>:1.3)", "<lora:mycat:1>", "embedding:mycat"])
def test_what_other_programs_read_in_a_prompt_is_warned_of(client: TestClient, found: str) -> None:
    body = {**CAT, "prompt": f"a <mycat> cat {found}", "negative_prompt": "(fog:1.2)"}
    first, second = drawn(client, **body)["warnings"]
    assert first.startswith(f"{found!r} is ")
    assert second.startswith("'(fog:1.2)' is a weight")
    assert first.endswith('in concepts, as [{"name": "mycat", "weight": 0.8}]')
