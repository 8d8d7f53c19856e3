import json
from typing import Any

import pytest

from cdcore.errors import RegistryError
from cdcore.registry.entry import (
    SCHEMA_VERSION,
    RegistryEntry,
    check_name,
    digest_of,
    number_of,
    object_key,
    parse_pointer,
    pointer_key,
    pointer_name,
    version_of_file,
)

VERSION = "12-0123456789abcdef"
ENTRY = RegistryEntry(
    name="mycat",
    size_bytes=5,
    published_at="2026-01-01T00:00:00+00:00",
    metadata={"custom_diffusion": '{"name": "größe"}'},
    history=("1-fedcba9876543210", VERSION),
)


@pytest.mark.parametrize("name", ["mycat", "A-z_0", "-", "x" * 100])
def test_a_plain_name_is_a_name(name: str) -> None:
    assert check_name(name) == name
    assert pointer_name(pointer_key(name).partition("/")[2]) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\n", "a b", "a.json", "ä"),
        *("x" * 101, "a\0", "%2e%2e", "a:b", "~"),
    ],
)
def test_whatever_could_be_more_than_a_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        check_name(name)
    assert "\n" not in str(caught.value)
    assert pointer_name(f"{name}.json") is None


def test_files_of_something_else_are_no_versions() -> None:
    assert version_of_file(object_key("mycat", VERSION).rpartition("/")[2]) == VERSION
    assert (number_of(VERSION), digest_of(VERSION)) == (12, "0123456789abcdef")
    for file in (VERSION, f".{VERSION}-x.safetensors", "0-0123456789abcdef.safetensors", "x.json"):
        assert version_of_file(file) is None
    assert pointer_name("mycat") is None


def test_a_pointer_is_read_back_as_it_was() -> None:
    assert parse_pointer("mycat", ENTRY.pointer(), "there") == ENTRY
    assert ENTRY.version == VERSION


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(ENTRY.pointer()) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        *(ENTRY.pointer()[:cut] for cut in range(1, len(ENTRY.pointer()), 40)),
        changed(history=[]),
        changed(history=["../../x"]),
        changed(metadata=[]),
        changed(size_bytes="many"),
        changed(schema_version=None),
    ],
)
def test_a_damaged_pointer_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(RegistryError, match=r"^there: the pointer is damaged") as caught:
        parse_pointer("mycat", data, "there")
    assert "\n" not in str(caught.value)


def test_a_newer_pointer_is_refused() -> None:
    with pytest.raises(RegistryError, match="update this software"):
        parse_pointer("mycat", changed(schema_version=SCHEMA_VERSION + 1), "there")
