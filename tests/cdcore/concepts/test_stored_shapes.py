"""Tests of `cdcore.concepts.stored_shapes`."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from cdcore.concepts.stored_shapes import StoredShapes
from cdcore.concepts.subject import Subject
from cdcore.errors import ConceptFileError
from tests.cdcore.concepts.test_stored_tensors import FORMS, HEIGHT, METADATA, WIDTH, write

SUBJECTS = (Subject(class_noun="cat", token="<mycat>"), Subject(class_noun="dog", token=None))


def shapes(path: Path, tensors: dict[str, Tensor]) -> StoredShapes:
    write(path, tensors, METADATA)
    with safe_open(path, framework="np") as file:
        made = StoredShapes(file, path)
        made.check_tokens(SUBJECTS)
        assert made.update_shape()[1] == WIDTH
        return made


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_update_has_its_shape(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mycat.safetensors", FORMS[form], METADATA)
    with safe_open(path, framework="np") as file:
        assert StoredShapes(file, path).update_shape() == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unet.to_q": torch.ones(2, 2)}, r"more than keys and values \(unet\.to_q\)"),
        ({"update.weight": torch.ones(2)}, r"update\.weight is \[2\] of F32"),
        ({"token.0": torch.ones(WIDTH + 1)}, r"token\.0 is \[5\] of F32, expected \[4\]"),
        ({"update.weight": torch.ones(HEIGHT, WIDTH, dtype=torch.int64)}, "of I64, expected"),
    ],
)
def test_another_shape_or_type_is_refused_by_name(
    change: dict[str, Tensor], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConceptFileError, match=message):
        shapes(tmp_path / "mycat.safetensors", FORMS["dense"] | change)


def test_a_missing_row_is_refused(tmp_path: Path) -> None:
    without = {name: tensor for name, tensor in FORMS["dense"].items() if name != "token.0"}
    with pytest.raises(ConceptFileError, match=r"it has no token\.0"):
        shapes(tmp_path / "mycat.safetensors", without)
