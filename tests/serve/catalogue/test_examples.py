"""Tests of `serve.catalogue.examples`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cdcore.concepts.storage import load_merge_inputs
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.catalogue import examples
from serve.catalogue.examples import publish_examples, shipped_examples


def test_examples_of_this_base_are_published_where_their_names_are_free(
    tiny_base: Base, mergeable: Mapping[str, Path], tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish(mergeable["mydog"], "mycat")
    own = registry.entry("mycat").version
    bad, unnamed = tmp_path / "bad.safetensors", tmp_path / "a b.safetensors"
    bad.write_bytes(b"no concept")
    unnamed.write_bytes(mergeable["mycat"].read_bytes())
    files = [*mergeable.values(), bad, unnamed]
    assert publish_examples(registry, files, "0" * 64) == []
    assert publish_examples(registry, files, tiny_base.fingerprint) == ["mychair", "mydog"]
    assert publish_examples(registry, files, tiny_base.fingerprint) == []
    assert registry.names() == ["mycat", "mychair", "mydog"]
    assert registry.entry("mycat").version == own


def test_what_is_shipped_is_found_by_folder(
    mergeable: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = mergeable["mycat"].parent
    monkeypatch.setattr(examples, "_FOLDERS", (tmp_path / "missing", folder))
    assert shipped_examples() == sorted(mergeable.values())
    monkeypatch.setattr(examples, "_FOLDERS", (tmp_path / "missing",))
    assert shipped_examples() == []


def test_what_this_project_ships_can_be_read() -> None:
    for file in shipped_examples():
        assert load_merge_inputs(file).name == file.stem
