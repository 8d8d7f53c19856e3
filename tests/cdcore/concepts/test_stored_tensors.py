"""Tests of `cdcore.concepts.stored_tensors`."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from cdcore.concepts.header import METADATA_KEY
from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.concepts.stored_shapes import MERGE_PARTS
from cdcore.errors import ConceptFileError

COUNT, HEIGHT, WIDTH = 3, 6, 4
METADATA = {
    "schema_version": 1,
    "name": "mycat",
    "subjects": [{"class_noun": "cat", "token": "<mycat>"}],
    "base_name": "tiny",
    "base_fingerprint": "0" * 64,
    "parents": [],
}
FEATURES = {f"{part}.features": torch.ones(COUNT, WIDTH) for part in MERGE_PARTS}
VALUES = {f"{part}.values": torch.ones(COUNT, HEIGHT) for part in MERGE_PARTS}
TOKEN = {"token.0": torch.ones(WIDTH)}
LEFT, RIGHT = torch.ones(HEIGHT, 2), torch.ones(2, WIDTH)
FORMS = {
    "dense": {**TOKEN, **FEATURES, **VALUES, "update.weight": torch.ones(HEIGHT, WIDTH)},
    "pair": {**TOKEN, **FEATURES, "update.left": LEFT, "update.right": RIGHT},
    "blocks": {**TOKEN, **FEATURES, "update.left.0": LEFT, "update.right.0": RIGHT},
}


def changed_copy(
    source: Path, target: Path, tensors: Mapping[str, Tensor], **metadata: object
) -> Path:
    """Copy a concept file with other tensors and other metadata in it."""
    with safe_open(source, framework="pt") as file:
        told = json.loads(file.metadata()[METADATA_KEY])
    return write(target, load_file(source) | dict(tensors), told | metadata)


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Path:
    save_file(dict(tensors), path, metadata={METADATA_KEY: json.dumps(metadata)})
    return path


def with_value(tensor: Tensor, value: float) -> Tensor:
    """Return a copy whose last value is another."""
    changed = tensor.clone()
    changed.view(-1)[-1] = value
    return changed


def refusal(load: Callable[[Path], object], path: Path) -> str:
    """Return the one line in which a file is refused."""
    with pytest.raises(ConceptFileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "; " in message
    return message


@pytest.mark.parametrize("form", FORMS)
def test_a_sound_file_is_read(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mycat.safetensors", FORMS[form], METADATA)
    assert load_concept(path).update.shape == (HEIGHT, WIDTH)
    assert {
        name: tuple(rows.values.shape) for name, rows in load_merge_inputs(path).rows.items()
    } == (dict.fromkeys(MERGE_PARTS, (COUNT, HEIGHT)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("form", "name"), [(form, name) for form in FORMS for name in FORMS[form]])
def test_what_reads_a_value_that_is_no_number_refuses_the_file(
    form: str, name: str, value: float, tmp_path: Path
) -> None:
    tensors = FORMS[form] | {name: with_value(FORMS[form][name], value)}
    path = write(tmp_path / "mycat.safetensors", tensors, METADATA)
    readers: list[Callable[[Path], object]] = []
    if name.startswith(("update.", "token.")):
        readers.append(load_concept)
    if name != "update.weight":
        readers.append(load_merge_inputs)
    for load in readers:
        assert f"{name} holds values that are no numbers" in refusal(load, path)


def test_two_infinities_do_not_cancel_and_large_numbers_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mycat.safetensors"
    row = torch.tensor([math.inf, -math.inf, 0, 0])
    assert "no numbers" in refusal(
        load_concept, write(path, FORMS["dense"] | {"token.0": row}, METADATA)
    )
    large = torch.full((WIDTH,), 3e38)
    write(path, FORMS["dense"] | {"token.0": large}, METADATA)
    assert torch.equal(load_concept(path).tokens["<mycat>"], large)


def test_merge_inputs_is_read_without_looking_at_a_dense_update(tmp_path: Path) -> None:
    tensors = FORMS["dense"] | {"update.weight": torch.full((HEIGHT, WIDTH), math.nan)}
    load_merge_inputs(write(tmp_path / "mycat.safetensors", tensors, METADATA))


@pytest.mark.parametrize(
    ("form", "name", "tensor"),
    [
        *[("dense", f"{part}.values", torch.ones(COUNT - 1, HEIGHT)) for part in MERGE_PARTS],
        *[("dense", f"{part}.values", torch.ones(COUNT, HEIGHT + 1)) for part in MERGE_PARTS],
        *[
            (form, f"{part}.features", torch.ones(0, WIDTH))
            for form in FORMS
            for part in MERGE_PARTS
        ],
        *[(form, "sketch.features", torch.ones(COUNT, WIDTH + 1)) for form in FORMS],
        *[(form, "constraint.features", torch.ones(WIDTH)) for form in FORMS],
        ("dense", "constraint.features", torch.ones(COUNT, WIDTH, dtype=torch.int32)),
        ("dense", "update.weight", torch.ones(HEIGHT * WIDTH)),
        ("dense", "update.weight", torch.ones(0, WIDTH)),
        ("pair", "update.right", torch.ones(0, WIDTH)),
        ("blocks", "update.right.0", torch.ones(2, WIDTH).bool()),
        ("dense", "token.0", torch.ones(WIDTH - 1)),
        ("pair", "token.0", torch.ones(1, WIDTH)),
        ("blocks", "token.0", torch.ones(())),
        ("dense", "token.0", torch.ones(WIDTH, dtype=torch.int64)),
        ("dense", "token.0", torch.ones(WIDTH).to(torch.float8_e4m3fn)),
    ],
)
def test_a_tensor_of_another_kind_is_refused_by_its_name(
    form: str, name: str, tensor: Tensor, tmp_path: Path
) -> None:
    path = write(tmp_path / "mycat.safetensors", FORMS[form] | {name: tensor}, METADATA)
    readers: list[Callable[[Path], object]] = [load_merge_inputs]
    if name.startswith(("update.", "token.")):
        readers.append(load_concept)
    for load in readers:
        message = refusal(load, path)
        assert f"damaged: {name} is {list(tensor.shape)} of " in message
        assert "expected [" in message


@pytest.mark.parametrize("missing", ["constraint.features", "constraint.values", "token.0"])
def test_a_tensor_that_is_missing_is_named(missing: str, tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in FORMS["dense"].items() if name != missing}
    path = write(tmp_path / "mycat.safetensors", tensors, METADATA)
    assert f"damaged: it has no {missing}" in refusal(load_merge_inputs, path)


@pytest.mark.parametrize("load", [load_merge_inputs, load_concept])
def test_a_file_without_an_update_is_refused(
    load: Callable[[Path], object], tmp_path: Path
) -> None:
    path = write(tmp_path / "mycat.safetensors", {**TOKEN, **FEATURES, **VALUES}, METADATA)
    assert "damaged: it has no update" in refusal(load, path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("load", [load_merge_inputs, load_concept])
def test_what_changes_more_than_keys_and_values_is_refused(
    load: Callable[[Path], object], form: str, tmp_path: Path
) -> None:
    tensors = FORMS[form] | {"unet.to_q.weight": torch.zeros(2, 2)}
    path = write(tmp_path / "mycat.safetensors", tensors, METADATA)
    assert "more than keys and values (unet.to_q.weight)" in refusal(load, path)
