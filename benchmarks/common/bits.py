"""What a refactoring must leave alone, as hashes: ``python benchmarks/common/bits.py``.

It runs a checkout's own commands in fresh folders: the demo's training, a sample, a merge, and a
service that is asked for pictures. Each result becomes one hash of its numbers alone: losses
without seconds, tensors, pixels, metadata without dates. Two checkouts that print the same hashes
on one machine compute the same bits:

    python benchmarks/common/bits.py --checkout ../before --json before.json
    python benchmarks/common/bits.py --against before.json
"""

import argparse
import base64
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import safe_open

__all__ = ["concept_hash", "loss_hash", "main", "picture_hash"]

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = ("mycat", "mychair")
_PROMPT = "a <mycat> cat next to a <mychair> chair on the beach"
_VOLATILE = ("created_at", "versions", "seconds")
"""Keys of metadata that differ from run to run."""
_START_S = 300
_REQUESTS: tuple[Mapping[str, Any], ...] = (
    {"prompt": "a red cat on the beach", "seed": 1},
    {"prompt": "a <mycat> cat in the snow", "model": "mycat", "seed": 2, "guidance_scale": 3},
    {"prompt": _PROMPT, "model": "mycat+mychair", "seed": 3, "n": 2},
    {"prompt": _PROMPT, "model": "mycat+mychair", "merge": "constrained", "seed": 4},
    {"prompt": "a <mydog> dog at night", "model": "mydog", "seed": 5, "sampler": "ddim"},
)


def loss_hash(path: Path) -> str:
    """Hash a run's ``metrics.jsonl`` without the seconds."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return _digest(json.dumps([_lasting(line) for line in lines], sort_keys=True).encode())


def concept_hash(path: Path) -> str:
    """Hash a concept file: every tensor, and the metadata that does not name a time or place."""
    digest = hashlib.sha256()
    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(tensor.tobytes())
        for key, text in sorted((file.metadata() or {}).items()):
            digest.update(json.dumps({key: _lasting(json.loads(text))}, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def picture_hash(image: Image.Image) -> str:
    """Hash the pixels of a picture."""
    return _digest(f"{image.size}".encode() + image.convert("RGB").tobytes())


def main() -> int:
    """Print the hashes; with ``--against``, compare them and return 1 where one differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--checkout", type=Path, default=_ROOT, help="whose commands are run")
    parser.add_argument("--steps", type=int, default=600, help="training steps of the demo")
    parser.add_argument("--json", type=Path, help="write the hashes there")
    parser.add_argument("--against", type=Path, help="hashes to compare with")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hashes = _hashes(flags.checkout.resolve(), Path(folder), flags.steps)
    known = json.loads(flags.against.read_text()) if flags.against else hashes
    for name, value in hashes.items():
        verdict = "" if known.get(name) == value else f"  DIFFERS, was {known.get(name)}"
        sys.stdout.write(f"{value}  {name}{verdict}\n")
    if flags.json:
        flags.json.write_text(json.dumps(hashes, indent=1) + "\n")
    return int(known != hashes)


def _hashes(checkout: Path, folder: Path, steps: int) -> dict[str, str]:
    run = folder / "runs" / "mycat"
    pair = [str(checkout / "examples" / "concepts" / f"{name}.safetensors") for name in _EXAMPLES]
    common = ["--cache", str(folder / "cache")]
    _command(
        checkout,
        *("rayjobs/train.py", "--config", "examples/demo.yaml", "--steps", str(steps), *common),
        *("--output", str(folder / "runs")),
    )
    hashes = {
        "training: losses": loss_hash(run / "metrics.jsonl"),
        "training: concept file": concept_hash(run / "mycat.safetensors"),
    }
    for path in sorted((run / "samples").glob("*.png")):
        hashes[f"training: {path.name}"] = picture_hash(Image.open(path))
    merged, samples = folder / "pair.safetensors", folder / "samples"
    _command(checkout, "rayjobs/merge.py", "--concepts", *pair, "--output", str(merged), *common)
    hashes["merge: concept file"] = concept_hash(merged)
    hashes["merge: pictures"] = picture_hash(Image.open(merged.with_suffix(".png")))
    _command(
        checkout,
        *("rayjobs/sample.py", "--concepts", *pair, "--prompt", _PROMPT, "--output", str(samples)),
        *("--base", "pocket", *common),
    )
    for number, path in enumerate(sorted(samples.rglob("*.png")), start=1):
        hashes[f"sample: picture {number}"] = picture_hash(Image.open(path))
    with _service(checkout, folder) as address:
        for number, request in enumerate(_REQUESTS, start=1):
            for index, image in enumerate(_asked(address, request), start=1):
                hashes[f"service: request {number}, picture {index}"] = picture_hash(image)
    return hashes


def _lasting(value: Any) -> Any:
    """Leave out what differs from run to run, at any depth."""
    if isinstance(value, dict):
        return {key: _lasting(part) for key, part in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_lasting(part) for part in value]
    return value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _environment(checkout: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(checkout), "RAY_AUTH_MODE": "disabled"}


def _command(checkout: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env=_environment(checkout),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")


@contextmanager
def _service(checkout: Path, folder: Path) -> Iterator[str]:
    """Serve the example concepts of a checkout; the address answers when this is entered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "serve", "--base", "pocket", "--registry", str(folder / "registry")]
    log = (folder / "serve.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, *words, "--port", str(port)],
        cwd=checkout,
        env=_environment(checkout),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(1)
    raise SystemExit("the service did not become ready")


def _asked(address: str, request: Mapping[str, Any]) -> list[Image.Image]:
    body = json.dumps({"deterministic": True, "num_inference_steps": 10, **request}).encode()
    asked = urllib.request.Request(
        f"{address}/v1/images/generations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=_START_S) as answer:
        shown = json.loads(answer.read())["data"]
    return [Image.open(io.BytesIO(base64.b64decode(one["b64_json"]))) for one in shown]


if __name__ == "__main__":
    sys.exit(main())
