"""Tests of `cdcore.concepts.header`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cdcore.concepts.header import read_header
from cdcore.concepts.storage import load_concept
from cdcore.errors import BaseMismatchError, ConceptFileError
from cdcore.model.base_files import local_base
from tests.cdcore.concepts.test_stored_tensors import FORMS, HEIGHT, METADATA, WIDTH, write


@pytest.mark.parametrize("form", FORMS)
def test_a_header_says_what_the_loaded_concept_says(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mycat.safetensors", FORMS[form], METADATA)
    header, concept = read_header(path), load_concept(path)
    assert header.shape == concept.update.shape == (HEIGHT, WIDTH)
    for name in ("name", "subjects", "base_name", "base_fingerprint"):
        assert getattr(header, name) == getattr(concept, name)


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"subjects": []}, {"base_name": 3}])
def test_a_file_is_refused_in_the_words_of_loading(
    change: dict[str, object], tmp_path: Path
) -> None:
    path = write(tmp_path / "mycat.safetensors", FORMS["dense"], METADATA | change)
    with pytest.raises(ConceptFileError) as late:
        load_concept(path)
    with pytest.raises(ConceptFileError) as early:
        read_header(path)
    assert str(early.value) == str(late.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConceptFileError, match="a folder; give a concept file"):
        read_header(tmp_path)
    with pytest.raises(ConceptFileError, match="no such file; give a concept file"):
        read_header(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ConceptFileError, match="not a readable safetensors file"):
        read_header(tmp_path / "text")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["lora_unet_a.lora_up.weight"], "a LoRA, which this project writes but does not read"),
        (["emb_params"], "an embedding"),
        (["a.attn2.processor.to_k_custom_diffusion.weight"], "make a concept file of them with"),
        (["soul"], "a safetensors file, but not a concept file of this project"),
    ],
)
def test_another_tool_s_file_is_called_what_it_is(
    names: list[str], kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    for read in (read_header, load_concept):
        with pytest.raises(ConceptFileError, match=kind):
            read(path)


def test_a_torch_file_is_sent_to_the_converter(tmp_path: Path) -> None:
    torch.save({"unet": {}}, tmp_path / "delta.bin")
    torch.save({"unet": {}}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    for path in tmp_path.iterdir():
        with pytest.raises(ConceptFileError, match=r"a torch file.*rayjobs/convert\.py"):
            read_header(path)


def test_only_another_shape_is_refused_and_what_is_unknown_is_none(
    concept_file: Path, tiny_folder: Path
) -> None:
    header, own = read_header(concept_file), local_base(str(tiny_folder))
    header.check_shape(own)
    header.check_shape(replace(own, text_width=None, stack_rows=None))
    with pytest.raises(BaseMismatchError, match="use the base that the concept was trained on"):
        header.check_shape(local_base("pocket"))
    with pytest.raises(BaseMismatchError, match="concept 'mycat'"):
        header.check_shape(replace(own, stack_rows=7))
