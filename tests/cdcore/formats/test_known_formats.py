from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.known_formats import FORMATS, recognise
from cdcore.formats.tensors.container import open_content
from cdcore.formats.tensors.kv_base import KVBase
from tests.cdcore.formats.cases import write

READ_BY = {
    "adobe": "adobe",
    "adobe-compressed": "adobe",
    "compvis": "compvis",
    "compvis-compressed": "compvis",
    "custom-diffusion": "custom-diffusion",
}
KINDS = {
    "lycoris": "a LyCORIS file",
    "kohya": "a LoRA",
    "diffusers-lora": "a LoRA",
    "peft-lora": "a LoRA",
    "embedding": r"an embedding \(a textual inversion\)",
}


@pytest.mark.parametrize("name", READ_BY)
def test_what_a_format_writes_is_recognised(
    name: str, blocks: Concept, kv_base: KVBase, folder: Path
) -> None:
    path = write(FORMATS[name], blocks, kv_base, folder)[0]
    assert recognise(open_content(path)).name == READ_BY[name]


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - READ_BY))
def test_what_is_only_written_says_so(
    name: str, blocks: Concept, kv_base: KVBase, folder: Path
) -> None:
    path = write(FORMATS[name], blocks, kv_base, folder)[0]
    with pytest.raises(ConceptFileError, match=KINDS[name]) as caught:
        recognise(open_content(path))
    assert "which this project writes but does not read; give the concept file" in str(caught.value)


def test_a_foreign_file_is_told_what_would_be_read(tmp_path: Path) -> None:
    save_file({"soul": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ConceptFileError, match=r"'soul'.*one of adobe, compvis") as caught:
        recognise(open_content(tmp_path / "foreign.safetensors"))
    assert "\n" not in str(caught.value)


def test_names_and_titles_differ() -> None:
    assert all(name == format_.name for name, format_ in FORMATS.items())
    assert len({format_.title for format_ in FORMATS.values()}) == len(FORMATS)
