"""Tests of `cdcore.merging.caption_statistics`."""

from pathlib import Path

import pytest
import torch

from benchmarks.merging.case import draw_features
from cdcore.concepts.prompt_rows import RowWeights, prompt_rows
from cdcore.errors import MergeError
from cdcore.merging.caption_bank import CaptionBank, written_captions
from cdcore.merging.caption_statistics import (
    CAPTION_WEIGHTS,
    CaptionStatistics,
    caption_statistics,
    statistics_of_rows,
    stored_statistics,
)
from cdcore.model.base import Base
from cdcore.model.loading import load_base

BANK = CaptionBank.split(written_captions(pocket=True).fitted[:60])


@pytest.fixture(scope="module")
def statistics(tiny_base: Base) -> CaptionStatistics:
    return caption_statistics(tiny_base, BANK)


def test_the_factor_is_of_the_second_moment_of_the_fitted_captions(
    tiny_base: Base, statistics: CaptionStatistics
) -> None:
    counted = prompt_rows(tiny_base.text_encoder, BANK.fitted, weights=CAPTION_WEIGHTS)
    moment = counted.rows.T.double() @ counted.rows.double() / counted.weight
    product = statistics.factor @ statistics.factor.T
    floor = product - moment
    torch.testing.assert_close(product, moment, rtol=1e-4, atol=2e-6 * float(moment.trace()))
    assert float(floor.diagonal().mean()) == pytest.approx(
        1e-6 * float(moment.trace()) / len(moment), rel=0.1
    )
    assert statistics.factor.triu(1).abs().max() == 0
    assert statistics.captions == len(BANK.fitted) == 50


def test_the_energy_is_that_of_the_bases_keys_and_values(
    tiny_base: Base, statistics: CaptionStatistics
) -> None:
    counted = prompt_rows(tiny_base.text_encoder, BANK.held_out, weights=CAPTION_WEIGHTS)
    moment = counted.rows.T @ counted.rows / counted.weight
    torch.testing.assert_close(statistics.held_out.float(), moment, rtol=1e-4, atol=1e-5)
    projected = counted.rows @ tiny_base.seam.stack.T
    expected = float(projected.square().sum()) / counted.weight
    assert statistics.base_energy == pytest.approx(expected, rel=1e-4)


def test_in_captions_padding_counts_as_much_as_words_and_the_start_as_one(
    tiny_base: Base,
) -> None:
    """docs/merging.md has the measurement that found these weights."""
    counted = prompt_rows(tiny_base.text_encoder, BANK.fitted, weights=CAPTION_WEIGHTS)
    assert counted.weight == pytest.approx(2 * counted.words + len(BANK.fitted))


def test_moments_are_summed_in_double_precision(
    tiny_base: Base, statistics: CaptionStatistics
) -> None:
    counted = prompt_rows(tiny_base.text_encoder, BANK.held_out, weights=CAPTION_WEIGHTS)
    rows = counted.rows.double()
    expected = rows.T @ rows / counted.weight
    torch.testing.assert_close(statistics.held_out, expected, rtol=1e-12, atol=1e-12)


def test_the_statistics_of_rows_are_their_second_moments() -> None:
    fitted, held_out = draw_features(40, 16, 1), draw_features(24, 16, 2)
    made = statistics_of_rows(fitted, held_out, base_energy=3.0, fingerprint="f")
    moment = fitted.double().T @ fitted.double() / 40
    floor = 1e-6 * moment.trace() / 16 * torch.eye(16, dtype=torch.float64)
    torch.testing.assert_close(made.factor @ made.factor.T, moment + floor)
    torch.testing.assert_close(made.held_out, held_out.double().T @ held_out.double() / 24)
    assert (made.base_energy, made.base_fingerprint) == (3.0, "f")
    assert (made.bank, made.captions) == ("", 0), "they are of no captions"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_condition_is_that_of_the_moment_or_of_what_double_precision_can_tell(
    scale: float,
) -> None:
    epsilon = torch.finfo(torch.float64).eps
    for powers, condition in (([4.0, 3.0, 2.0, 1.0], 4.0), ([4.0, 3.0, 2.0, 0.0], 1 / epsilon)):
        rows = scale * torch.tensor(powers, dtype=torch.float64).sqrt().diag().repeat(2, 1)
        made = statistics_of_rows(rows, rows, base_energy=1.0, fingerprint="f")
        assert made.condition == pytest.approx(condition, rel=1e-6)


def test_what_the_cache_holds_is_read_without_the_base(
    tiny_base: Base, statistics: CaptionStatistics, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    assert stored_statistics(tiny_base.fingerprint, BANK, tmp_path) is None
    made = caption_statistics(
        tiny_base, BANK, tmp_path, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (60, 60)
    read = stored_statistics(tiny_base.fingerprint, BANK, tmp_path)
    assert read is not None
    again = caption_statistics(
        tiny_base, BANK, tmp_path, on_progress=lambda *_: pytest.fail("read twice")
    )
    for other in (made, read, again):
        assert torch.equal(other.factor, statistics.factor)
        assert torch.equal(other.held_out, statistics.held_out)
        assert other.base_energy == statistics.base_energy
        assert other.condition == statistics.condition
        assert (other.bank, other.captions) == (statistics.bank, 50)
    assert [path.parent.name for path in tmp_path.rglob("*.safetensors")] == ["captions"]


def test_other_captions_weights_or_bases_are_other_statistics(
    tiny_base: Base, tmp_path: Path
) -> None:
    caption_statistics(tiny_base, BANK, tmp_path)
    other = CaptionBank(fitted=BANK.fitted, held_out=BANK.held_out[1:])
    assert stored_statistics(tiny_base.fingerprint, other, tmp_path) is None
    assert stored_statistics("0" * 64, BANK, tmp_path) is None
    words = RowWeights(start=0.25)
    assert stored_statistics(tiny_base.fingerprint, BANK, tmp_path, weights=words) is None


def test_a_damaged_cache_file_is_computed_again(tiny_base: Base, tmp_path: Path) -> None:
    caption_statistics(tiny_base, BANK, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert stored_statistics(tiny_base.fingerprint, BANK, tmp_path) is None
    caption_statistics(tiny_base, BANK, tmp_path)
    assert file.read_bytes() == whole


def test_too_few_captions_for_the_width_are_refused(tiny_folder: Path, tiny_base: Base) -> None:
    width = tiny_base.seam.layout.text_width
    few = CaptionBank(fitted=("a cat",) * 5, held_out=("a dog",))
    with pytest.raises(
        MergeError, match=rf"15 words, too few.*{width}.*{2 * width} words.*about 7 c"
    ):
        caption_statistics(load_base(str(tiny_folder)), few)
    rows = draw_features(2 * width, width, 0)
    statistics_of_rows(rows, rows, base_energy=1.0, fingerprint="f")
    rows = rows[1:]
    with pytest.raises(MergeError, match="too few"):
        statistics_of_rows(rows, rows, base_energy=1.0, fingerprint="f")
