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
        (["delta.BIN"], "delta.BIN"),
        (["Delta-500.BIN", "delta-1000.Bin"], "delta-1000.Bin"),
        ([f"{WHOLE}.BIN"], f"{WHOLE}.BIN"),
        (["mycat-500.SAFETENSORS", "mycat.Safetensors"], "mycat.Safetensors"),
        (["sd15-cat-500.bin", "sd15-cat-1000.bin"], "sd15-cat-1000.bin"),
        (["<new1>-500.bin", "<new1>-1000.bin", "<new1>.bin"], "<new1>.bin"),
        (["cat-step00000500.pt", "cat-step00001000.pt"], "cat-step00001000.pt"),
        (["cat_epoch=4-step=99.pt", "cat_epoch=4-step=249.pt"], "cat_epoch=4-step=249.pt"),
        (["delta_epoch=9.ckpt", "delta_epoch=10.ckpt"], "delta_epoch=10.ckpt"),
        (["checkpoint-5/delta.bin", "epoch_9/other.txt"], "checkpoint-5/delta.bin"),
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


@pytest.mark.parametrize(
    "names",
    [
        ["cat.safetensors", "dog.safetensors"],
        ["sd15-cat.bin", "sd15-dog.bin"],
        ["sd14-cat.bin", "sd15-cat.bin"],
        ["sd14-cat-500.bin", "sd15-cat-500.bin"],
        ["cat-sd1.4.bin", "cat-sd1.5.bin"],
        ["cat1-500.bin", "cat2-500.bin"],
        ["<new1>.bin", "<new2>.bin"],
        ["<new1>-500.bin", "<new2>-1000.bin"],
        ["cat1.bin", "cat2.bin"],
        ["cat_v1.bin", "cat_v2.bin"],
        ["500-cat.bin", "500-dog.bin"],
        ["cat-000002.bin", "cat-step00000500.bin"],
        ["cat-5.bin", "cat-05.bin"],
        ["cat.bin", "cat.safetensors"],
        ["delta-cat.bin", "delta-dog.bin"],
        ["delta_cat-500.bin", "delta_dog-1000.bin"],
        ["epoch_9/delta.bin", "step_500/delta.bin"],
        ["checkpoint-5/delta-cat.bin", "checkpoint-5/delta-dog.bin"],
    ],
)
def test_files_of_several_names_must_be_chosen_from(names: list[str], tmp_path: Path) -> None:
    folder_of(tmp_path, *names)
    with pytest.raises(ConceptFileError, match="of which any may be meant; give") as caught:
        find_weights(tmp_path)
    assert all(name.partition("/")[0] in str(caught.value) for name in names)


@pytest.mark.parametrize("names", [[], ["notes.txt", "sub/delta.bin"]])
def test_a_folder_without_weights_says_what_is_looked_for(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConceptFileError, match=f"no delta file or {WHOLE}"):
        find_weights(folder_of(tmp_path, *names))
