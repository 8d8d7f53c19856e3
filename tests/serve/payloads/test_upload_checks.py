"""Tests of `serve.payloads.upload_checks`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from cdcore.concepts.concept import Concept
from cdcore.concepts.header import METADATA_KEY
from cdcore.concepts.storage import save_concept
from cdcore.errors import BaseMismatchError, ConceptFileError
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from serve.engine.config import EngineConfig
from serve.gateway.facts import ServiceFacts
from serve.payloads.upload_checks import check_upload, max_upload_bytes
from tests.serve.service_case import make_concept
from tests.serve.upload_case import joined, mutations, split
from tests.tiny import random_update


@pytest.fixture(scope="module")
def facts(tiny_base: Base) -> ServiceFacts:
    return ServiceFacts.of(tiny_base, EngineConfig())


def written(base: Base, concept: Concept, folder: Path) -> bytes:
    save_concept(concept, folder / "x.safetensors", base)
    return (folder / "x.safetensors").read_bytes()


@pytest.fixture(scope="module")
def good(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tiny_base, make_concept(tiny_base, "mycat"), tmp_path_factory.mktemp("file"))


def test_every_form_of_a_concept_is_taken(
    tiny_base: Base, facts: ServiceFacts, tmp_path: Path
) -> None:
    concept = make_concept(tiny_base, "mycat")
    layout = tiny_base.seam.layout
    for form in (
        concept,
        replace(concept, update=random_update(layout.shape, rank=3)),
        replace(concept, update=random_update(layout.shape, rank=2, widths=layout.widths)),
        make_concept(tiny_base, "mycat", token=None),
    ):
        data = written(tiny_base, form, tmp_path)
        check_upload(data, facts)
        assert len(data) < max_upload_bytes(facts)


def test_other_bases_are_named(tiny_base: Base, facts: ServiceFacts, good: bytes) -> None:
    with pytest.raises(BaseMismatchError, match="trained on base"):
        check_upload(good, replace(facts, base_fingerprint="0" * 64))
    with pytest.raises(BaseMismatchError, match=r"'update.weight' has the shape \[\d+, 32\]"):
        check_upload(good, replace(facts, text_width=64))


def test_hostile_files_are_told_what_is_wrong(facts: ServiceFacts, good: bytes) -> None:
    header, rest = split(good)
    pickled = b"\x80\x04\x95" + good
    huge = (2**40).to_bytes(8, "little") + good[8:]
    extra = {**header, "unet.conv.weight": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}
    wide = {**header, "token.0": {**header["token.0"], "dtype": "F64"}}
    other = {**header, "__metadata__": {"format": "pt"}}
    nested = (8 + 10**5).to_bytes(8, "little") + b'{"a": ' + b"[" * 10**5 + rest
    for data, says in (
        (b"", "does not begin"),
        (pickled, "does not begin"),
        (huge, "does not begin"),
        (nested, "no JSON"),
        (good[:-2], "was it cut off"),
        (good + b"\0", "was it cut off"),
        (joined(extra, rest), r"'unet.conv.weight' is of no use"),
        (joined(wide, rest), "dtype 'F64', expected one of F16"),
        (joined(other, rest), "not a concept file"),
        (joined([], rest), "no JSON object"),
        (b"\0" * (max_upload_bytes(facts) + 1), "takes at most"),
    ):
        with pytest.raises(ConceptFileError, match=says):
            check_upload(data, facts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"class_noun": "<mycat>"}, "subjects.0.class_noun"),
        ({"class_noun": ""}, "subjects.0.class_noun"),
        ({"class_noun": "dog\nx"}, "subjects.0.class_noun"),
        ({"token": "dog"}, "the concept file is damaged: TokenError"),
    ],
)
def test_what_no_prompt_could_say_is_refused_without_the_place_where_it_lies(
    facts: ServiceFacts, good: bytes, change: dict[str, str], says: str
) -> None:
    header, rest = split(good)
    metadata = json.loads(header["__metadata__"][METADATA_KEY])
    metadata["subjects"] = [{**metadata["subjects"][0], **change}]
    damaged = {**header, "__metadata__": {METADATA_KEY: json.dumps(metadata)}}
    with pytest.raises(ConceptFileError, match=says) as caught:
        check_upload(joined(damaged, rest), facts)
    assert "/" not in str(caught.value)


def test_another_tool_s_file_is_called_what_it_is(facts: ServiceFacts) -> None:
    data = save({"lora_unet_mid_block.lora_up.weight": torch.zeros(2, 2)})
    with pytest.raises(ConceptFileError, match="a LoRA, which this project writes but does not"):
        check_upload(data, facts)


def test_values_must_be_numbers(tiny_base: Base, facts: ServiceFacts, tmp_path: Path) -> None:
    concept = make_concept(tiny_base, "mycat")
    update = random_update(tiny_base.seam.layout.shape)
    assert isinstance(update, DenseUpdate)
    update.weight[3, 5] = torch.inf
    with pytest.raises(ConceptFileError, match="no numbers"):
        check_upload(written(tiny_base, replace(concept, update=update), tmp_path), facts)


def test_thousands_of_mutated_files_are_refused_in_words_or_are_concepts(
    facts: ServiceFacts, good: bytes
) -> None:
    errors = [refusal(data, facts) for data in mutations(good, 2000)]
    refused = [error for error in errors if error is not None]
    assert len(refused) > 1500
    assert max(map(len, map(str, refused))) < 1000


def refusal(data: bytes, facts: ServiceFacts) -> ConceptFileError | None:
    try:
        check_upload(data, facts)
    except ConceptFileError as error:
        return error
    return None
