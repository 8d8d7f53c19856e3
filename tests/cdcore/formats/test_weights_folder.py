from pathlib import Path

import pytest

from cdcore.errors import ConceptFileError
from cdcore.formats.weights_folder import find_weights

WHOLE = "pytorch_custom_diffusion_weights"


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["delta-500.bin", "delta-1000.bin"], "delta-1000.bin"),
        (["delta-999.bin", "delta-1000.bin", "delta-20.bin"], "delta-1000.bin"),
        (["delta-250.bin", "delta.bin"], "delta.bin"),
        (
            [f"checkpoint-{step}/{WHOLE}.bin" for step in (500, 1000)],
            f"checkpoint-1000/{WHOLE}.bin",
        ),
        ([f"checkpoint-{step}/delta.bin" for step in (9, 10)], "checkpoint-10/delta.bin"),
        (["checkpoint-500/delta.bin", "delta.bin"], "delta.bin"),
        (["checkpoint-500/delta.bin", f"{WHOLE}.safetensors"], f"{WHOLE}.safetensors"),
        (["checkpoint-500/delta.bin", "checkpoint-1000/optimizer.bin"], "checkpoint-500/delta.bin"),
        (["checkpoint-5/model.safetensors"], "checkpoint-5/model.safetensors"),
        (
            [f"checkpoints/delta_epoch={n}.ckpt" for n in ("000004", "000010", "000009")],
            "checkpoints/delta_epoch=000010.ckpt",
        ),
        (
            [f"checkpoints/delta_epoch=4-step={n}.ckpt" for n in (99, 249)],
            "checkpoints/delta_epoch=4-step=249.ckpt",
        ),
        (["delta_epoch=4.ckpt", "delta_epoch=4-v1.ckpt"], "delta_epoch=4-v1.ckpt"),
        (["delta-1.bin", "compressed_delta-2.bin"], "delta-1.bin"),
        (["compressed_delta-9.ckpt", "compressed_delta-10.ckpt"], "compressed_delta-10.ckpt"),
        (["mylora-000002.safetensors", "mylora-000010.safetensors"], "mylora-000010.safetensors"),
        (["mylora-000002.safetensors", "mylora.safetensors"], "mylora.safetensors"),
        (["adapter_model.safetensors", "adapter_config.json"], "adapter_model.safetensors"),
        (["delta-5.bin", "._delta-6.bin", "delta-7.bin.tmp", "<new1>.bin"], "delta-5.bin"),
        ([f"{WHOLE}.bin", "<new1>.bin", "optimizer.bin", "scheduler.bin"], f"{WHOLE}.bin"),
    ],
)
def test_the_newest_by_number_is_found_and_said(
    names: list[str], newest: str, tmp_path: Path
) -> None:
    found = find_weights(folder_of(tmp_path, *names))
    assert found.path == tmp_path / newest
    assert found.note.startswith(f"{newest} of this folder is read")
    again = find_weights(folder_of(tmp_path / "again", *reversed(names)))
    assert again.note == found.note


def test_what_is_older_is_named(tmp_path: Path) -> None:
    names = [f"delta-{step}.bin" for step in range(100, 900, 100)]
    found = find_weights(folder_of(tmp_path, *names))
    assert found.note == (
        "delta-800.bin of this folder is read, the newest; not delta-700.bin, delta-600.bin, "
        "delta-500.bin, delta-400.bin, delta-300.bin and 2 more"
    )


def test_folders_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "delta-1000.bin").mkdir()
    assert find_weights(folder_of(tmp_path, "delta-5.bin")).path.name == "delta-5.bin"


def test_files_of_several_names_must_be_chosen_from(tmp_path: Path) -> None:
    folder_of(tmp_path, "cat.safetensors", "dog.safetensors")
    with pytest.raises(ConceptFileError, match=r"cat\.safetensors, dog\.safetensors, of which any"):
        find_weights(tmp_path)


@pytest.mark.parametrize("names", [[], ["notes.txt", "sub/delta.bin"]])
def test_a_folder_without_weights_says_what_is_looked_for(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConceptFileError, match=f"no delta file or {WHOLE}"):
        find_weights(folder_of(tmp_path, *names))
