import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.custom_diffusion import CUSTOM_DIFFUSION
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import (
    make_concept,
    our_prediction,
    read,
    stock_pipeline,
    stock_prediction,
    write,
)


def test_files_are_named_so_that_every_system_takes_them(
    low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, low_rank, kv_base, folder)
    names = [path.name for path in paths]
    assert names == ["pytorch_custom_diffusion_weights.bin", "my0.bin", "my1.bin"]
    assert list(torch.load(paths[1], weights_only=True)) == ["<my0>"]


@pytest.mark.parametrize("which", ["dense", "low_rank", "blocks"])
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_what_is_written_is_read_back_from_either_kind_of_file(
    which: str, suffix: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    paths = write(CUSTOM_DIFFUSION, concept, kv_base, folder)
    if suffix == ".safetensors":
        # As diffusers' script saves by default: without the empty entries.
        for path in paths:
            tree = torch.load(path, weights_only=True)
            flat = {key: tensor for key, tensor in tree.items() if isinstance(tensor, torch.Tensor)}
            save_file(flat, path.with_suffix(suffix))
            path.unlink()
    (folder / "pytorch_lora.txt").write_text("not ours")
    back = read(paths[0].with_suffix(suffix), kv_base)
    torch.testing.assert_close(back.update.dense(), concept.update.dense(), rtol=0, atol=1e-6)
    assert sorted(back.tokens) == sorted(concept.tokens)
    for token, row in concept.tokens.items():
        assert torch.equal(back.tokens[token], row)


def test_diffusers_own_loader_gives_our_prediction(
    dense: Concept, kv_base: KVBase, tiny_base: Base, tiny_folder: Path, folder: Path
) -> None:
    write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    pipeline = stock_pipeline(tiny_folder)
    plain = stock_prediction(pipeline, tiny_base)
    # Without `_pipeline` diffusers loads nothing, and says nothing.
    pipeline.unet.load_attn_procs(
        folder, weight_name="pytorch_custom_diffusion_weights.bin", _pipeline=pipeline
    )
    pipeline.load_textual_inversion(folder, weight_name="my0.bin")
    made, expected = stock_prediction(pipeline, tiny_base), our_prediction(tiny_base, dense)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (made - plain).abs().max() > 1e-2


def test_without_a_token_file_the_user_is_told(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    paths[1].unlink()
    back = read(paths[0], kv_base)
    assert not back.tokens
    assert "no token file" in " ".join(back.notes)


def test_files_of_something_else_beside_it_are_left_alone(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, folder / "other.safetensors")
    torch.save({"a": {}}, folder / "empty.bin")
    assert list(read(paths[0], kv_base).tokens) == ["<my0>"]


STRAYS: dict[str, object] = {
    "scheduler": {"last_epoch": 5, "base_lrs": [1e-5]},
    "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}},
    "step": {"step": torch.ones(1)},
    "emb": {"emb_params": torch.zeros(1, 7)},
    "matrix": {"weight": torch.zeros(3, 3)},
    "texts": {"a": "b"},
}


def test_what_scripts_leave_beside_weights_is_passed_over_and_named(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    for name, content in STRAYS.items():
        torch.save(content, folder / f"{name}.bin")
    (folder / "training_args.bin").write_bytes(pickle.dumps(complex(1)))
    (folder / "cut.safetensors").write_bytes(b"\xff" * 30)
    save_file({"emb_params": torch.zeros(1, kv_base.layout.text_width)}, folder / "a.safetensors")
    back = read(paths[0], kv_base)
    assert list(back.tokens) == ["<my0>"]
    (note,) = (note for note in back.notes if "not read" in note)
    assert note.startswith("no token files of this base, and not read: ")
    for name in (*STRAYS, "training_args"):
        assert f"{name}.bin" in note
    assert CUSTOM_DIFFUSION.earlier is not None
    kept = {folder / f"{name}.bin" for name in ("scheduler", "texts", "emb", "training_args")}
    assert not kept & set(CUSTOM_DIFFUSION.earlier(folder))


def test_a_token_of_another_base_is_refused_by_name(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    torch.save({"<other>": torch.zeros(kv_base.layout.text_width + 1)}, folder / "other.bin")
    with pytest.raises(ConceptFileError, match=r"other\.bin: token '<other>' is"):
        read(paths[0], kv_base)


def test_of_a_token_s_several_files_the_last_step_is_read(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    paths = write(CUSTOM_DIFFUSION, dense, kv_base, folder)
    paths[1].unlink()
    for name, value in (("<new1>-500", 1.0), ("<new1>-1000", 2.0)):
        torch.save(
            {"<new1>": torch.full((kv_base.layout.text_width,), value)}, folder / f"{name}.bin"
        )
    assert read(paths[0], kv_base).tokens["<new1>"][0] == 2
    torch.save({"<new1>": torch.full((kv_base.layout.text_width,), 3.0)}, folder / "<new1>.bin")
    assert read(paths[0], kv_base).tokens["<new1>"][0] == 3


def test_weights_of_more_than_keys_and_values_are_refused(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    path = write(CUSTOM_DIFFUSION, dense, kv_base, folder)[0]
    tree = torch.load(path, weights_only=True)
    key = next(key for key in tree if "to_k_custom" in key)
    tree[key.replace("to_k_", "to_q_")] = tree[key]
    torch.save(tree, path)
    with pytest.raises(ConceptFileError, match="which a concept cannot express"):
        read(path, kv_base)


def test_two_encoders_cannot_be_written(folder: Path) -> None:
    layout = PUBLISHED_FAMILIES[2].layout
    base = KVBase(
        name="sdxl",
        layout=layout,
        encoder_widths=(768, 1280),
        stack=torch.zeros(1).expand(layout.shape),
    )
    small = KVBase(name="s", layout=layout, encoder_widths=(768, 1280))
    concept = make_concept(small, rank=1)
    with pytest.raises(ConceptFileError, match="2 text encoders"):
        CUSTOM_DIFFUSION.write(concept, base, torch.float32)


def test_the_files_of_an_earlier_concept_are_told_from_others(
    low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    find = CUSTOM_DIFFUSION.earlier
    assert find is not None
    paths = write(CUSTOM_DIFFUSION, low_rank, kv_base, folder)
    in_another_format = paths[1].with_suffix(".safetensors")
    save_file(torch.load(paths[1], weights_only=True), in_another_format)
    save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, folder / "other.safetensors")
    (folder / "notes.md").write_text("kept")
    assert sorted(find(folder)) == sorted([*paths, in_another_format])
    paths[0].unlink()
    assert not find(folder)
