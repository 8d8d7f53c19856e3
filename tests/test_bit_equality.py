"""The same picture, bit for bit, from `rayjobs/sample.py` and through the HTTP API."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cdcore.merging.caption_bank import written_captions
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from rayjobs.config.sampling import SampleJob
from rayjobs.local.sampling import run
from serve.gateway.host import EngineHost
from tests.serve.engine_case import CONFIG, PLAIN_MAP, SLOTS
from tests.serve.service_case import save_mergeable, serving

CASES: Mapping[str, tuple[tuple[str, ...], str, dict[str, object]]] = {
    "one concept": (("mycat",), "a <mycat> cat on the beach", {}),
    "a weight, another solver": (("mycat:0.7",), "a <mycat> cat", {"sampler": "ddim"}),
    "a merge": (("mycat", "mychair:0.8"), "a <mycat> cat on a <mychair> chair", {}),
    "a ridge merge": (("mychair", "mycat"), "a <mycat> cat", {"method": "ridge"}),
    "a sum, a negative prompt": (
        ("mychair", "mydog"),
        "a <mydog> dog",
        {"method": "sum", "negative_prompt": "a <mychair> chair"},
    ),
    "the base": ((), "a red cat", {"guidance": 1.0}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_picture_of_the_service_is_that_of_the_command_line(
    tiny_base: Base, tmp_path: Path, case: str
) -> None:
    concepts, prompt, settings = CASES[case]
    files = save_mergeable(tiny_base, tmp_path)
    registry = Registry(tmp_path / "registry")
    for file in files.values():
        registry.publish(file)
    named = [text.partition(":") for text in concepts]
    job = SampleJob(
        concepts=tuple(f"{files[name]}{colon}{weight}" for name, colon, weight in named),
        prompt=prompt,
        count=SLOTS,
        seed=11,
        steps=4,
        base=tiny_base.name,
        output=tmp_path / "samples",
        cache=tmp_path / "cache",
        **settings,  # type: ignore[arg-type]
    )
    run(job)
    body = {
        "prompt": prompt,
        "n": SLOTS,
        "seed": 11,
        "num_inference_steps": 4,
        "deterministic": True,
        "concepts": [{"name": name, "weight": float(weight or 1)} for name, _, weight in named],
        "merge": settings.get("method"),
        "negative_prompt": settings.get("negative_prompt"),
        "sampler": settings.get("sampler"),
        "guidance_scale": settings.get("guidance"),
    }
    host = EngineHost(
        tiny_base,
        registry,
        tmp_path / "copies",
        CONFIG,
        captions=written_captions(pocket=True),
        cache=tmp_path / "cache",
        preview=PLAIN_MAP,
    )
    host.start(120)
    try:
        with serving(host, registry) as client:
            answer = client.post("/v1/images/generations", json=body)
    finally:
        host.close()
    assert answer.status_code == 200, answer.text
    singles = [path for path in sorted(job.output.glob("*.png")) if "grid" not in path.name]
    served = [base64.b64decode(one["b64_json"]) for one in answer.json()["data"]]
    assert len(singles) == len(served) == SLOTS
    for path, data in zip(singles, served, strict=True):
        ours, theirs = Image.open(io.BytesIO(data)), Image.open(path)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        told, wanted = (json.loads(image.info["parameters"]) for image in (ours, theirs))
        for name in ("seed", "prompt", "negative_prompt", "steps", "sampler", "base_fingerprint"):
            assert told[name] == wanted[name]
