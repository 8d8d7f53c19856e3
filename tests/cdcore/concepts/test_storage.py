"""Tests of `cdcore.concepts.storage`."""

import json
import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cdcore.concepts.concept import Concept
from cdcore.concepts.header import SCHEMA_VERSION
from cdcore.concepts.merge_inputs import describe
from cdcore.concepts.storage import load_concept, load_merge_inputs, save_concept
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError, TokenError
from cdcore.model.base import Base
from tests.cdcore.concepts.full_concept import NOUNS, full_concept
from tests.tiny import random_update

KEY = "custom_diffusion"


SUBJECTS = [
    {"class_noun": "cat", "token": "<one>"},
    {"class_noun": "dog", "token": "<two>"},
]


def described(concept: Concept) -> dict[str, Any]:
    """All of a concept that is no tensor."""
    names = {field.name for field in fields(concept)} - {"update", "tokens"}
    return {name: getattr(concept, name) for name in names}


def rewrite(path: Path, metadata: object) -> None:
    """Put other metadata into a concept file."""
    save_file(load_file(path), path, metadata={KEY: json.dumps(metadata)})


def metadata_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, Any] = json.loads(file.metadata()[KEY])
    return metadata


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize(("subjects", "has_tokens"), [(1, False), (1, True), (2, True)])
def test_a_file_holds_the_concept_in_half_precision(
    tiny_base: Base, tmp_path: Path, rank: int | None, subjects: int, has_tokens: bool
) -> None:
    path = tmp_path / "folder" / "mycat.safetensors"
    concept = full_concept(tiny_base, rank=rank, subjects=subjects, has_tokens=has_tokens)
    save_concept(concept, path, tiny_base)
    read = load_concept(path)
    ours, theirs = concept.update.tensors(), read.update.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], ours[name].half().float()) for name in ours)
    assert list(read.tokens) == list(concept.tokens)
    for token, row in concept.tokens.items():
        assert torch.equal(read.tokens[token], row.half().float())
    assert described(read) == described(concept)
    assert [found.name for found in path.parent.iterdir()] == ["mycat.safetensors"]


def test_a_file_holds_the_factors_of_each_matrix(tiny_base: Base, tmp_path: Path) -> None:
    layout = tiny_base.seam.layout
    update = random_update(layout.shape, rank=2, widths=layout.widths)
    concept = replace(full_concept(tiny_base), update=update)
    save_concept(concept, tmp_path / "mycat.safetensors", tiny_base)
    read = load_concept(tmp_path / "mycat.safetensors").update.tensors()
    assert read.keys() == update.tensors().keys()
    for name, tensor in update.tensors().items():
        assert torch.equal(read[name], tensor.half().float())


def test_saving_again_what_was_read_changes_nothing(
    path: Path, tiny_base: Base, tmp_path: Path
) -> None:
    again = tmp_path / "again.safetensors"
    save_concept(load_concept(path), again, tiny_base)
    first, second = load_file(path), load_file(again)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert metadata_of(again) == metadata_of(path)


@pytest.mark.parametrize("rank", [None, 2])
def test_values_are_stored_for_a_dense_update_and_follow_from_a_factored_one(
    tiny_base: Base, tmp_path: Path, rank: int | None
) -> None:
    path = tmp_path / "mycat.safetensors"
    save_concept(full_concept(tiny_base, rank=rank), path, tiny_base)
    stored = load_file(path)
    inputs = load_merge_inputs(path)
    update = load_concept(path).update
    for name in ("constraint", "sketch", "heldout"):
        features = stored[f"{name}.features"].float()
        expected = update.apply(features)
        assert torch.equal(inputs.rows[name].features, features)
        torch.testing.assert_close(inputs.rows[name].values, expected, rtol=1e-3, atol=1e-5)
        values = stored.get(f"{name}.values")
        assert (values is None) == (rank is not None)
        assert values is None or torch.equal(inputs.rows[name].values, values.float())


@pytest.mark.parametrize("rank", [None, 2])
def test_the_merge_inputs_of_a_file_is_that_of_the_concept(
    tiny_base: Base, tmp_path: Path, rank: int | None
) -> None:
    path = tmp_path / "mycat.safetensors"
    concept = full_concept(tiny_base, rank=rank, subjects=2)
    save_concept(concept, path, tiny_base)
    read, made = load_merge_inputs(path), describe(concept, tiny_base)
    assert (read.name, read.subjects) == (concept.name, concept.subjects)
    assert (read.base_name, read.base_fingerprint) == (tiny_base.name, tiny_base.fingerprint)
    assert read.digest == made.digest
    assert list(read.tokens) == list(made.tokens)
    for name, rows in made.rows.items():
        assert torch.equal(read.rows[name].features, rows.features)
        assert torch.equal(read.rows[name].values, rows.values)


def test_merge_inputs_stands_for_the_base_when_a_concept_is_saved(
    path: Path, tiny_base: Base, tmp_path: Path
) -> None:
    again = tmp_path / "again.safetensors"
    save_concept(load_concept(path), again, load_merge_inputs(path))
    first, second = load_file(path), load_file(again)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_file_of_an_older_version_has_merge_inputs_without_sketch(path: Path) -> None:
    tensors = {
        name: tensor
        for name, tensor in load_file(path).items()
        if not name.startswith(("sketch", "heldout"))
    }
    save_file(tensors, path, metadata={KEY: json.dumps(metadata_of(path))})
    inputs = load_merge_inputs(path)
    assert inputs.sketch is None
    assert inputs.held_out is None
    assert torch.equal(inputs.constraint.features, tensors["constraint.features"].float())


@torch.no_grad()
@pytest.mark.parametrize("has_tokens", [False, True])
@pytest.mark.parametrize("subjects", [1, 3])
def test_constraint_features_run_from_the_first_word_of_each_subject_to_the_end(
    tiny_base: Base, tmp_path: Path, subjects: int, has_tokens: bool
) -> None:
    concept = full_concept(tiny_base, subjects=subjects, has_tokens=has_tokens)
    path = tmp_path / "mycat.safetensors"
    save_concept(concept, path, tiny_base)
    features = load_file(path)["constraint.features"]
    encoded = tiny_base.text_encoder.encode(concept.target_prompts, concept.tokens)
    expected = []
    for number, noun in enumerate(NOUNS[:subjects]):
        words = has_tokens + len(noun.split()) + 1  # the token, the noun and the end
        bare, photo = encoded[2 * number : 2 * number + 2]
        expected += [bare[1 : 1 + words], photo[4 : 4 + words]]
    torch.testing.assert_close(features.float(), torch.cat(expected), rtol=1e-3, atol=1e-3)


def test_a_newer_schema_is_refused(path: Path) -> None:
    rewrite(path, metadata_of(path) | {"schema_version": SCHEMA_VERSION + 1, "soul": True})
    with pytest.raises(ConceptFileError, match=f"schema {SCHEMA_VERSION + 1}.*update this"):
        load_concept(path)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param([], id="list"),
        pytest.param("text", id="text"),
        pytest.param({"schema_version": None}, id="no schema"),
        pytest.param({"subjects": SUBJECTS}, id="no row"),
        pytest.param({"subjects": [{"class_noun": "cat", "token": "mycat"}]}, id="no token"),
        pytest.param({"subjects": [{"class_noun": "cat"}]}, id="no name"),
        pytest.param({"subjects": []}, id="no subject"),
        pytest.param({"subjects": 3}, id="no subjects"),
        pytest.param({"parents": None}, id="no parents"),
        pytest.param({"name": 3}, id="number as name"),
        pytest.param({"name": ["a\n" * 999]}, id="long list as name"),
        pytest.param({"base_name": None}, id="no base"),
        pytest.param({"base_fingerprint": 3}, id="number as fingerprint"),
        pytest.param({"subjects": [{"class_noun": 3, "token": "<my0>"}]}, id="number as noun"),
        pytest.param({"subjects": [{"class_noun": ["cat"], "token": None}]}, id="list as noun"),
        pytest.param({"subjects": [{"class_noun": "cat", "token": 3}]}, id="number as token"),
        pytest.param({"subjects": [{"class_noun": "a", "token": "<my0>"}] * 2}, id="twice"),
        pytest.param({"training": [1]}, id="list as training"),
        pytest.param({"parents": ["one"]}, id="text as parent"),
    ],
)
def test_damaged_metadata_is_refused_in_one_line(path: Path, change: object) -> None:
    rewrite(path, metadata_of(path) | change if isinstance(change, dict) else change)
    for load in (load_concept, load_merge_inputs):
        with pytest.raises(ConceptFileError, match=r"damaged.*; train or export") as caught:
            load(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < len(str(path)) + 400


def test_metadata_of_what_no_concept_has_is_refused(path: Path) -> None:
    rewrite(path, metadata_of(path) | {"soul": True})
    with pytest.raises(ConceptFileError, match="damaged"):
        load_concept(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_metadata_that_is_no_json_is_refused(path: Path, text: str) -> None:
    save_file(load_file(path), path, metadata={KEY: text})
    with pytest.raises(ConceptFileError, match="damaged"):
        load_concept(path)


@pytest.mark.parametrize("kept", [0, 1, 8, 100, 5000])
def test_a_truncated_file_is_refused_in_one_line(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConceptFileError, match="not a readable safetensors file") as caught:
        load_concept(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"update.weight": torch.zeros(2, 2)}, foreign, metadata={"format": "pt"})
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(pickle.dumps({"update.weight": [1, 2]}))
    text = tmp_path / "text.safetensors"
    text.write_text("hello " * 100)
    for path in (foreign, pickled, text, tmp_path, tmp_path / "nothing.safetensors"):
        with pytest.raises(ConceptFileError, match=path.name) as caught:
            load_concept(path)
        assert "\n" not in str(caught.value)


def test_reading_never_unpickles(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (Path(tmp_path / "sprung"),)  # type: ignore[return-value]

    path = tmp_path / "trap.safetensors"
    torch.save({"update.weight": Trap()}, path)
    with pytest.raises(ConceptFileError):
        load_concept(path)
    assert not (tmp_path / "sprung").exists()


def test_a_failed_write_leaves_nothing(concept: Concept, tiny_base: Base, tmp_path: Path) -> None:
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(OSError, match="taken"):
        save_concept(concept, tmp_path / "taken.safetensors", tiny_base)
    unspeakable = replace(concept, metrics={"picture": torch.zeros(1)})
    nameless = replace(concept, subjects=(Subject(class_noun="<>", token="<my0>"),))
    with pytest.raises(TypeError):
        save_concept(unspeakable, tmp_path / "unspeakable.safetensors", tiny_base)
    with pytest.raises(TokenError):
        save_concept(nameless, tmp_path / "nameless.safetensors", tiny_base)
    assert [found.name for found in tmp_path.iterdir()] == ["taken.safetensors"]
    assert not list((tmp_path / "taken.safetensors").iterdir())
