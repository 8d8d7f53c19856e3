import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from cdcore.formats.format import Artifact


def test_the_suffix_says_how_it_is_stored(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2, 2)}
    Artifact(path="x", tensors=tensors, metadata={"k": "v"}).save(tmp_path / "a.safetensors")
    Artifact(path="x", tensors={"in": [tensors["a"], {}]}).save(tmp_path / "a.bin")
    Artifact(path="x", text=json.dumps({"a": 1})).save(tmp_path / "below" / "a.json")
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], tensors["a"])
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata() == {"k": "v"}
    read = torch.load(tmp_path / "a.bin", weights_only=True)
    assert torch.equal(read["in"][0], tensors["a"])
    assert read["in"][1] == {}
    assert json.loads((tmp_path / "below" / "a.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_a_view_is_stored_without_the_rest_of_its_storage(tmp_path: Path, suffix: str) -> None:
    whole = torch.zeros(1000, 1000)
    path = tmp_path / f"a{suffix}"
    Artifact(path="x", tensors={"a": whole[:2], "b": whole[:2].T, "c": whole[:2]}).save(path)
    assert path.stat().st_size < 40_000


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(OSError, match=r"a\.safetensors"):
        Artifact(path="x", tensors={"a": torch.ones(2)}).save(tmp_path / "a.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
