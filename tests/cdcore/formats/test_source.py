from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.errors import ConceptFileError, ConfigError
from cdcore.formats.known_formats import FORMATS
from cdcore.formats.source import read_source
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import make_concept, write

READABLE = [name for name, format_ in FORMATS.items() if format_.holds == "weights"]


@pytest.fixture
def own_file(tiny_base: Base, kv_base: KVBase, tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    concept = make_concept(kv_base)
    save_concept(replace(concept, base_fingerprint=tiny_base.fingerprint), path, tiny_base)
    return path


@pytest.mark.parametrize("name", READABLE)
def test_another_tool_s_file_becomes_a_concept(
    name: str, low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    path = write(FORMATS[name], low_rank, kv_base, folder)[0]
    source = read_source(path, base=kv_base, nouns=["cat", "wooden pot"], name="mine")
    concept = source.concept
    torch.testing.assert_close(concept.update.dense(), low_rank.update.dense(), rtol=0, atol=1e-6)
    assert [subject.class_noun for subject in concept.subjects] == ["cat", "wooden pot"]
    assert (concept.name, concept.base_name) == ("mine", kv_base.name)
    assert source.title == FORMATS[name].title


def test_a_folder_of_a_training_script_is_looked_through(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    for name in ("adobe", "compvis", "custom-diffusion"):
        write(FORMATS[name], dense, kv_base, folder / name)
        assert read_source(folder / name, base=kv_base, nouns=["cat"]).title == FORMATS[name].title
    with pytest.raises(ConceptFileError, match="no delta file"):
        read_source(folder, base=kv_base, nouns=["cat"])


def test_of_several_checkpoints_the_newest_is_read_and_it_is_said(
    kv_base: KVBase, folder: Path
) -> None:
    made = {step: make_concept(kv_base, nouns=["cat"] * (step // 500)) for step in (500, 1000)}
    for step, concept in made.items():
        (path,) = write(FORMATS["adobe"], concept, kv_base, folder)
        path.rename(folder / f"delta-{step}.bin")
    source = read_source(folder, base=kv_base, nouns=["cat", "cat"])
    assert list(source.concept.tokens) == list(made[1000].tokens)
    assert source.notes[0] == (
        "delta-1000.bin of this folder is read, the newest; not delta-500.bin"
    )


def test_a_folder_of_an_adapter_is_called_what_it_is(
    blocks: Concept, kv_base: KVBase, folder: Path
) -> None:
    write(FORMATS["peft-lora"], blocks, kv_base, folder)
    with pytest.raises(ConceptFileError, match=r"adapter_model\.safetensors: a LoRA, which"):
        read_source(folder, base=kv_base, nouns=["cat"])


def test_the_folder_of_a_run_is_its_concept_file(own_file: Path, kv_base: KVBase) -> None:
    (own_file.parent / "checkpoints").mkdir()
    source = read_source(own_file.parent, base=kv_base)
    assert source.title == "a concept file"
    assert source.notes == ("own.safetensors of this folder is read",)


def test_the_family_is_found_by_the_width_of_the_matrices(folder: Path) -> None:
    for family in PUBLISHED_FAMILIES:
        base = KVBase.of_family(family)
        concept = make_concept(base, rank=1)
        for name in ("adobe-compressed", "compvis-compressed"):
            path = write(FORMATS[name], concept, base, folder / family.name)[0]
            assert read_source(path, nouns=["cat"]).base.family is family


def test_a_concept_file_needs_no_base_unless_its_weights_are_wanted(
    own_file: Path, kv_base: KVBase
) -> None:
    source = read_source(own_file, needs_weights=True)
    assert source.concept.name == "mycat"
    assert torch.equal(source.base.weights, kv_base.weights)
    assert read_source(own_file, base=kv_base).base is kv_base


def test_a_concept_file_of_a_known_family_needs_no_base_at_all(
    own_file: Path, tmp_path: Path
) -> None:
    layout = PUBLISHED_FAMILIES[0].layout
    with safe_open(own_file, framework="pt") as file:
        metadata = file.metadata()
    tensors = {
        "update.left": torch.ones(layout.shape[0], 1),
        "update.right": torch.ones(1, layout.text_width),
        "token.0": torch.zeros(layout.text_width),
        "constraint.features": torch.zeros(2, layout.text_width),
        "constraint.values": torch.zeros(2, layout.shape[0]),
    }
    path = tmp_path / "sd1.safetensors"
    save_file({name: tensor.half() for name, tensor in tensors.items()}, path, metadata=metadata)
    assert read_source(path).base.family is PUBLISHED_FAMILIES[0]


def test_another_base_than_the_concept_s_own_is_mentioned(own_file: Path, kv_base: KVBase) -> None:
    other = replace(kv_base, name="another")
    assert "another is used" in " ".join(read_source(own_file, base=other).notes)


def test_tokens_that_no_prompt_could_name_are_renamed_and_said(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(FORMATS["adobe"], dense, kv_base, folder)
    tree = torch.load(path, weights_only=True)
    tree["modifier_token"] = {"SKS *": tree["modifier_token"]["<my0>"]}
    torch.save(tree, path)
    source = read_source(path, base=kv_base, nouns=["cat"])
    assert list(source.concept.tokens) == ["<sks>"]
    assert "'SKS *' is called <sks> here" in " ".join(source.notes)


@pytest.mark.parametrize("nouns", [(), ("cat", "dog", "pot")])
def test_the_nouns_must_be_told(
    nouns: tuple[str, ...], low_rank: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(FORMATS["adobe"], low_rank, kv_base, folder)
    with pytest.raises(ConfigError, match=r"<my0>, <my1>.*--class-noun with 2 nouns"):
        read_source(path, base=kv_base, nouns=nouns)
    (path,) = write(FORMATS["adobe"], make_concept(kv_base, has_tokens=False), kv_base, folder)
    with pytest.raises(ConfigError, match="has no token"):
        read_source(path, base=kv_base)


def test_a_base_of_no_family_must_be_told(dense: Concept, kv_base: KVBase, folder: Path) -> None:
    (path,) = write(FORMATS["adobe"], dense, kv_base, folder)
    with pytest.raises(ConfigError, match="give --base"):
        read_source(path, nouns=["cat"])


def test_a_concept_file_is_told_nothing(own_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.safetensors: .*leave out --class-noun"):
        read_source(own_file, nouns=["dog"])


def never() -> KVBase:
    raise AssertionError("the base was loaded before the file was looked at")


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize(
    ("nouns", "new_tokens", "message"),
    [
        ([], [], "teaches .*, .* and does not say what kind"),
        (["cat"], [], "give --class-noun with 2 nouns"),
        (["cat", "pot"], ["<one>"], "gives 1 names for 2 tokens"),
    ],
)
def test_what_is_missing_is_told_before_the_base_is_loaded(
    name: str,
    nouns: list[str],
    new_tokens: list[str],
    message: str,
    kv_base: KVBase,
    folder: Path,
) -> None:
    concept = make_concept(kv_base, nouns=["cat", "wooden pot"], rank=2)
    path = write(FORMATS[name], concept, kv_base, folder)[0]
    with pytest.raises(ConfigError, match=message):
        read_source(path, base=never, nouns=nouns, new_tokens=new_tokens)
    with pytest.raises(AssertionError, match="was loaded"):
        read_source(path, base=never, nouns=["cat", "pot"])
    again = read_source(path, base=lambda: kv_base, nouns=["cat", "pot"])
    assert len(again.concept.tokens) == 2


@pytest.mark.parametrize("kind", ["kohya", "lycoris", "text", "cut", "own", "folder"])
def test_what_cannot_be_read_is_told_before_the_base_is_loaded(
    kind: str, low_rank: Concept, kv_base: KVBase, folder: Path, own_file: Path
) -> None:
    path = folder / "bad.bin"
    if kind in FORMATS:
        path = write(FORMATS[kind], low_rank, kv_base, folder)[0]
    elif kind == "folder":
        path = folder
        folder.mkdir(exist_ok=True)
    else:
        folder.mkdir(exist_ok=True)
        whole = own_file.read_bytes()
        path.write_bytes({"text": b"a text", "cut": whole[:900], "own": whole[:-90]}[kind])
    with pytest.raises(ConceptFileError):
        read_source(path, base=never, nouns=["cat", "pot"])
