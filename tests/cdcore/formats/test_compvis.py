from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError
from cdcore.formats.compvis import COMPVIS, COMPVIS_COMPRESSED
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.families import PUBLISHED_FAMILIES
from tests.cdcore.formats.cases import make_concept, read, write

SD1 = PUBLISHED_FAMILIES[0]


def test_names_and_layout_are_those_of_the_original(folder: Path) -> None:
    layout = SD1.layout
    weights = torch.zeros(1).expand(layout.shape)
    base = KVBase(name="zeros", layout=layout, encoder_widths=(768,), stack=weights)
    concept = make_concept(base, rank=1, nouns=("cat", "dog"))
    (path,) = write(COMPVIS, concept, base, folder)
    tree = torch.load(path, weights_only=True)
    assert list(tree) == ["state_dict"]
    state: dict[str, Any] = tree["state_dict"]
    assert state.pop("embed").shape == (2, 768)
    first = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    assert state[first].shape == (320, 768)
    assert len(state) == 32
    assert {name.rsplit(".transformer", 1)[0] for name in state} == {
        *(f"model.diffusion_model.input_blocks.{n}.1" for n in (1, 2, 4, 5, 7, 8)),
        *(f"model.diffusion_model.output_blocks.{n}.1" for n in range(3, 12)),
        "model.diffusion_model.middle_block.1",
    }


@pytest.mark.parametrize("which", ["dense", "low_rank", "blocks"])
def test_what_is_written_is_read_back_with_tokens_by_number(
    which: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    formats = [COMPVIS] if which == "dense" else [COMPVIS, COMPVIS_COMPRESSED]
    for format_ in formats:
        back = read(write(format_, concept, kv_base, folder)[0], kv_base)
        torch.testing.assert_close(back.update.dense(), concept.update.dense(), rtol=0, atol=1e-6)
        assert list(back.tokens) == [f"<new{n + 1}>" for n in range(len(concept.tokens))]
        for read_row, row in zip(back.tokens.values(), concept.tokens.values(), strict=True):
            assert torch.equal(read_row, row)


def test_a_concept_without_a_token_has_no_table(kv_base: KVBase, folder: Path) -> None:
    concept = make_concept(kv_base, has_tokens=False)
    (path,) = write(COMPVIS, concept, kv_base, folder)
    assert "embed" not in torch.load(path, weights_only=True)["state_dict"]
    assert not read(path, kv_base).tokens


def test_tokens_beside_the_state_are_read_as_well(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(COMPVIS, dense, kv_base, folder)
    state = torch.load(path, weights_only=True)["state_dict"]
    torch.save({"embed": state.pop("embed"), "state_dict": state}, path)
    assert torch.equal(read(path, kv_base).tokens["<new1>"], dense.tokens["<my0>"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"state_dict": torch.zeros(1)}, "beside 'state_dict'"),
        ({"state_dict": {"first_stage_model.a": torch.zeros(1)}}, "the key 'first_stage_model.a'"),
        ({"optimizer": {"a": torch.zeros(1)}}, "is it a whole checkpoint"),
        ({"state_dict": {"embed": torch.zeros(3)}}, "no table of rows"),
    ],
    ids=str,
)
def test_other_checkpoints_are_refused(
    dense: Concept, kv_base: KVBase, folder: Path, change: dict[str, Any], match: str
) -> None:
    (path,) = write(COMPVIS, dense, kv_base, folder)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(ConceptFileError, match=match):
        read(path, kv_base)
