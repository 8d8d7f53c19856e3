import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cdcore.concepts.header import read_header
from cdcore.errors import ConceptFileError
from cdcore.formats.tensors import container
from cdcore.formats.tensors.container import open_content, read_selected


def refused(path: Path, match: str) -> None:
    with pytest.raises(ConceptFileError, match=match) as caught:
        open_content(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_both_kinds_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2, 3)}
    save_file(tensors, tmp_path / "odd.bin", metadata={"who": "me"})
    torch.save({"inner": tensors, "rows": [torch.ones(2)]}, tmp_path / "odd.pt")
    flat, nested = open_content(tmp_path / "odd.bin"), open_content(tmp_path / "odd.pt")
    assert torch.equal(flat.tree["a"], torch.ones(2, 3))
    assert flat.metadata == {"who": "me"}
    assert torch.equal(nested.tree["inner"]["a"], torch.ones(2, 3))
    assert nested.metadata == {}


def test_reading_never_runs_what_a_pickle_asks_for(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[Any]]:
            return Path.touch, (Path(tmp_path / "sprung"),)

    torch.save({"unet": Trap()}, tmp_path / "trap.bin")
    (tmp_path / "plain.bin").write_bytes(pickle.dumps({"unet": Trap()}))
    refused(tmp_path / "trap.bin", "holds more than tensors")
    refused(tmp_path / "plain.bin", "neither a safetensors file nor a torch file of today")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    tensors = {"a": torch.randn(50, 50), "b": torch.randn(50, 50)}
    torch.save(tensors, path) if suffix == ".bin" else save_file(tensors, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "neither|damaged")


def test_a_file_that_grows_when_unpacked_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.bin"
    torch.save({"a": torch.zeros(1000)}, tmp_path / "good.bin")
    with (
        zipfile.ZipFile(tmp_path / "good.bin") as good,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in good.namelist():
            packed.writestr(entry, good.read(entry))
    refused(path, "unpacks to more")


def test_sizes_are_looked_at_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.safetensors"
    save_file({"a": torch.zeros(1000)}, path)
    monkeypatch.setattr(container, "MAX_BYTES", 3000)
    monkeypatch.setattr(container, "_safetensors", None)
    refused(path, "at most 0 GB are read")


def test_a_tensor_may_not_claim_what_it_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "wide.bin"
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, path)
    refused(path, "claim more than 4 GB")


def test_a_storage_may_not_be_shorter_than_its_tensor(tmp_path: Path) -> None:
    path, forged = tmp_path / "good.bin", tmp_path / "forged.bin"
    torch.save({"a": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(forged, "w") as made:
        for entry in good.namelist():
            data = good.read(entry)
            made.writestr(entry, data[:40] if entry.endswith("data/0") else data)
    refused(forged, "damaged|claim")


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"a": {"b": 3}}, "floating-point tensors"),
        ({"a": "text"}, "floating-point tensors"),
        ({"a": torch.ones(2, dtype=torch.int64)}, "torch.int64"),
        ({"a": torch.ones(2, 2).to_sparse()}, "floating-point tensors"),
        ({3: torch.ones(2)}, "no text"),
        ({"a": {"b": {"c": {"d": {"e": torch.ones(1)}}}}}, "too many layers"),
        ([torch.ones(2)], "expected named tensors"),
    ],
    ids=str,
)
def test_only_named_tensors_are_taken(tmp_path: Path, tree: Any, match: str) -> None:
    torch.save(tree, tmp_path / "file.bin")
    refused(tmp_path / "file.bin", match)


def test_a_tree_without_end_ends(tmp_path: Path) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    torch.save(endless, tmp_path / "file.bin")
    refused(tmp_path / "file.bin", "too many layers")


def test_other_files_and_no_file_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("hello " * 100)
    (tmp_path / "huge.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "archive.bin").write_bytes(buffer.getvalue())
    for name in ("text.ckpt", "huge.safetensors", "archive.bin"):
        refused(tmp_path / name, "neither|a zip archive of 'readme")
    refused(tmp_path / "none.bin", "no such file")
    refused(tmp_path, "no such file")


def test_of_a_model_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    tensors = {"a.attn2": torch.ones(2), "b": torch.ones(3)}
    save_file(tensors, tmp_path / "model.safetensors")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "model.ckpt")
    for name in ("model.safetensors", "model.ckpt"):
        assert set(read_selected(tmp_path / name, lambda key: "attn2" in key)) == {"a.attn2"}


def test_an_embedding_with_texts_and_numbers_is_called_what_it_is(tmp_path: Path) -> None:
    # As A1111 writes it.
    made = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(torch.zeros(2, 768))},
        "name": "mycat",
        "step": 500,
    }
    torch.save(made, tmp_path / "mycat.pt")
    refused(tmp_path / "mycat.pt", r"mycat\.pt: an embedding \(a textual inversion\), which this")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jpg"], r"a zip archive of 'a\.jpg', and no concept; pictures are what"),
        (["x/a.JPG", "x/b.png"], r"a zip archive of 'a\.JPG' and 1 more files, .*train\.py"),
        (["mycat.safetensors", "USE.md"], "and no concept; unpack it, and give the file"),
        (["notes/data.pkl.txt"], "unpack it"),
    ],
)
def test_a_zip_archive_that_torch_has_not_written_is_called_what_it_is(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "cat.bin", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    refused(tmp_path / "cat.bin", message)
    with pytest.raises(ConceptFileError, match=message):
        read_header(tmp_path / "cat.bin")
    with pytest.raises(ConceptFileError, match=message):
        read_selected(tmp_path / "cat.bin", lambda _: True)
