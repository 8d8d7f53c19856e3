"""Tests of `serve.catalogue.listed_concept`."""

from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.concepts.header import METADATA_KEY
from cdcore.errors import RegistryError
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.catalogue.listed_concept import ListedConcept
from tests.serve.service_case import save_mergeable


def test_a_pointer_says_what_a_concept_teaches(tiny_base: Base, tmp_path: Path) -> None:
    entry = Registry(tmp_path / "registry").publish(save_mergeable(tiny_base, tmp_path)["mycat"])
    listed = ListedConcept.of(entry, "alice")
    assert (listed.name, listed.version, listed.owner) == ("mycat", entry.version, "alice")
    assert listed.tokens == ("<mycat>",)
    assert listed.phrases == ("<mycat> cat",)
    assert listed.base_fingerprint == tiny_base.fingerprint
    for text in ("", "[]", "{}", '{"subjects": [{"class_noun": 1}]}', "[" * 100_000):
        with pytest.raises(RegistryError, match=r"'mycat'.*publish it again"):
            ListedConcept.of(replace(entry, metadata={METADATA_KEY: text}), None)
