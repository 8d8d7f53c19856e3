from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.concept import Concept
from cdcore.errors import ConceptFileError, ConfigError
from cdcore.formats.adobe import ADOBE, ADOBE_COMPRESSED
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from tests.cdcore.formats.cases import make_concept, read, write
from tests.tiny import factors_of


def saved(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = torch.load(path, weights_only=True)
    return tree


def test_a_file_holds_absolute_weights_by_plain_name(
    dense: Concept, kv_base: KVBase, folder: Path
) -> None:
    (path,) = write(ADOBE, dense, kv_base, folder)
    tree = saved(path)
    assert path.name == "delta.bin"
    assert list(tree) == ["unet", "modifier_token"]
    assert tuple(tree["unet"]) == kv_base.layout.names
    expected = kv_base.layout.split(kv_base.weights + dense.update.dense())
    for name, weight in tree["unet"].items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, expected[name])
    assert torch.equal(tree["modifier_token"]["<my0>"], dense.tokens["<my0>"])


@pytest.mark.parametrize("which", ["dense", "low_rank", "blocks"])
def test_what_is_written_is_read_back(
    which: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    back = read(write(ADOBE, concept, kv_base, folder)[0], kv_base)
    torch.testing.assert_close(back.update.dense(), concept.update.dense(), rtol=0, atol=1e-6)
    assert list(back.tokens) == list(concept.tokens)
    for token, row in concept.tokens.items():
        assert torch.equal(back.tokens[token], row)


def test_half_precision_is_never_used_for_absolute_weights(dense: Concept, kv_base: KVBase) -> None:
    (artifact,) = ADOBE.write(dense, kv_base, torch.float16)
    assert artifact.tensors is not None
    assert {weight.dtype for weight in artifact.tensors["unet"].values()} == {torch.float32}


@pytest.mark.parametrize("which", ["low_rank", "blocks"])
def test_compressed_files_hold_a_difference_and_need_no_weights(
    which: str, kv_base: KVBase, folder: Path, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    (path,) = write(ADOBE_COMPRESSED, concept, kv_base, folder)
    entry = saved(path)["unet"][kv_base.layout.names[0]]
    assert set(entry) == {"u", "v"}
    unknown = KVBase(name="layout alone", layout=kv_base.layout, encoder_widths=(32,))
    back = read(path, unknown)
    torch.testing.assert_close(back.update.dense(), concept.update.dense(), rtol=0, atol=1e-6)
    assert list(back.tokens) == list(concept.tokens)


def test_a_published_layout_is_read(family: Family, folder: Path) -> None:
    """Files as the original scripts write them, of rank 1 so that SDXL fits into a test."""
    layout = family.layout
    unet = {
        name: {"u": torch.full((width, 1), 2.0), "v": torch.ones(1, layout.text_width)}
        for name, width in zip(layout.names, layout.widths, strict=True)
    }
    rows = [torch.full((width,), 0.5) for width in family.encoder_widths]
    tree = {"unet": unet, "modifier_token": {"<new1>": rows if len(rows) > 1 else rows[0]}}
    folder.mkdir()
    torch.save(tree, folder / "delta.bin")
    back = read(folder / "delta.bin", KVBase.of_family(family))
    assert back.update.shape == layout.shape
    assert torch.equal(back.tokens["<new1>"], torch.full((layout.text_width,), 0.5))
    assert (back.update.apply(torch.ones(1, layout.text_width)) == 2 * layout.text_width).all()


def test_sdxl_keeps_a_row_for_each_encoder(folder: Path) -> None:
    base = KVBase.of_family(PUBLISHED_FAMILIES[2])
    concept = make_concept(base, rank=1)
    (path,) = write(ADOBE_COMPRESSED, concept, base, folder)
    rows = saved(path)["modifier_token"]["<my0>"]
    assert [tuple(row.shape) for row in rows] == [(768,), (1280,)]
    back = read(path, base)
    assert torch.equal(back.tokens["<my0>"], concept.tokens["<my0>"])
    lefts = torch.cat([left for left, _ in factors_of(back.update)])
    torch.testing.assert_close(lefts, factors_of(concept.update)[0][0])


def test_a_dense_difference_needs_the_base(dense: Concept, kv_base: KVBase, folder: Path) -> None:
    (path,) = write(ADOBE, dense, kv_base, folder)
    unknown = KVBase(name="layout alone", layout=kv_base.layout, encoder_widths=(32,))
    with pytest.raises(ConfigError, match="give --base"):
        read(path, unknown)
    with pytest.raises(ConfigError, match="give --base"):
        write(ADOBE, dense, unknown, folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"text_encoder": {"a": torch.zeros(1)}}, "has 'text_encoder'"),
        ({"unet": torch.zeros(1)}, "not laid out like"),
        ({"unet": {}}, "has no down_blocks"),
        ({"modifier_token": torch.zeros(1)}, "not laid out like"),
        ({"modifier_token": {"<new1>": torch.zeros(768)}}, "<new1>"),
    ],
    ids=str,
)
def test_what_no_concept_can_express_is_refused(
    dense: Concept, kv_base: KVBase, folder: Path, change: dict[str, Any], match: str
) -> None:
    (path,) = write(ADOBE, dense, kv_base, folder)
    torch.save(saved(path) | change, path)
    with pytest.raises(ConceptFileError, match=match):
        read(path, kv_base)
