"""Concept files, mutated in as many ways as a hostile client might think of."""

import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["joined", "mutations", "split"]

_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, 1.5, float("nan"), float("inf")),
    *("", "x" * 5000, "\ud800", "../../etc/passwd", "F64", "F8_E4M3", "<x>", "\0", "I64"),
    *([], {}, [[]], [0], [0, 0], [1, 2, 3], [2**40, 2**40], {"a": {"b": []}}),
)


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: Any, rest: bytes) -> bytes:
    """A file of a header and what follows."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Files that differ from a good one: in bytes, in the header, or in the metadata."""
    rng = random.Random(seed)
    key = "custom_diffusion"
    for _ in range(count):
        header, rest = split(data)
        match rng.randrange(5):
            case 0:
                yield _bytes_changed(data, rng)
            case 1:
                yield data[: rng.randrange(len(data))]
            case 2:
                _change(header, rng)
                yield joined(header, rest)
            case 3:
                metadata = json.loads(header["__metadata__"][key])
                _change(metadata, rng)
                header["__metadata__"][key] = json.dumps(metadata)
                yield joined(header, rest)
            case _:
                text = list(json.dumps(header))
                text[rng.randrange(len(text))] = rng.choice('{}[]",:0é\\')
                body = "".join(text).encode()
                yield len(body).to_bytes(8, "little") + body + rest


def _bytes_changed(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 20)):
        # Half of them in the length and the header.
        place = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(200)
        changed[place] = rng.randrange(256)
    return bytes(changed)


def _change(node: Any, rng: random.Random) -> None:
    """Change one place of a JSON value, at any depth."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(node[key], dict | list) and rng.random() < 0.7:
        _change(node[key], rng)
    elif rng.random() < 0.2:
        del node[key]
    elif isinstance(node, dict) and rng.random() < 0.2:
        node[rng.choice(("update.left", "update.extra", "", "token.7", "\ud800"))] = node[key]
    else:
        node[key] = rng.choice(_ODD)
