"""Tests of `cdcore.merging.concept_files`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.storage import load_concept, load_merge_inputs, save_concept
from cdcore.errors import BaseMismatchError, ConfigError, MergeError
from cdcore.merging.concept_files import MergedConcepts, find_statistics, merge_files
from cdcore.merging.settings import MergeSettings, MixMethod
from cdcore.model.base import Base
from cdcore.model.loading import load_base


def phrases(merged: MergedConcepts) -> list[list[str]]:
    return [[subject.phrase for subject in named] for named in merged.subjects]


@pytest.mark.parametrize("method", ["constrained", "ridge", "sum", "masked"])
def test_merged_concepts_names_the_subjects_of_each_file_in_the_order_given(
    method: MixMethod, files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    settings = MergeSettings(method=method, cache=cache, allow_ill_posed=True)
    for given in (files, files[::-1]):
        merged = merge_files(given, settings, base=tiny_base)
        named = [["<mycat> cat"], ["<mypot> wooden pot"]]
        assert phrases(merged) == (named if given is files else named[::-1])
        assert set(merged.tokens) == {"<mycat>", "<mypot>"}
        assert {error.name: error.weight for error in merged.report.concepts} == {
            "mycat": 1.0,
            "mypot": 0.5,
        }
        assert (merged.merge is None) == (method == "masked")


def test_cached_statistics_do_without_the_base(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    settings = MergeSettings(cache=cache, allow_ill_posed=True)
    made = merge_files(files, settings, base=tiny_base)
    all_inputs = [load_merge_inputs(file) for file, _ in files]
    assert find_statistics(all_inputs, settings) is not None
    again = merge_files(files, settings)
    assert made.merge is not None
    assert again.merge is not None
    assert torch.equal(made.merge.concept.update.dense(), again.merge.concept.update.dense())
    assert find_statistics(all_inputs, replace(settings, cache=cache / "none")) is None


def test_colliding_tokens_are_renamed_for_every_method(
    concept_file: Path, tiny_base: Base, tmp_path: Path, cache: Path
) -> None:
    concept = load_concept(concept_file)
    row = concept.tokens["<mycat>"]
    other = tmp_path / "twin.safetensors"
    save_concept(replace(concept, name="twin", tokens={"<mycat>": row + 0.5}), other, tiny_base)
    for method in ("constrained", "masked"):
        settings = MergeSettings(method=method, cache=cache, allow_ill_posed=True)
        merged = merge_files([(concept_file, 1.0), (other, 1.0)], settings, base=tiny_base)
        assert set(merged.tokens) == {"<mycat>", "<mycat-2>"}
        assert any("<mycat> is now <mycat-2>" in remark for remark in merged.remarks)
        ((renamed, new),) = merged.report.renamed.items()
        at = 0 if renamed.startswith("mycat") else 1
        assert phrases(merged)[at] == [f"{new} cat"]
        torch.testing.assert_close(
            merged.tokens[new], (row if at == 0 else row + 0.5), rtol=0, atol=1e-3
        )


def test_another_base_is_used_only_when_allowed(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    foreign = replace(tiny_base, fingerprint="e" * 64)
    for method in ("constrained", "masked"):
        settings = MergeSettings(method=method, cache=cache, allow_ill_posed=True)
        with pytest.raises(BaseMismatchError):
            merge_files(files, settings, base=foreign)
        allowed = replace(settings, allow_other_base=True)
        assert merge_files(files, allowed, base=foreign).tokens


def test_what_is_ill_posed_is_refused_unless_allowed(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    settings = MergeSettings(method="ridge", penalty=1e6, cache=cache)
    with pytest.raises(MergeError):
        merge_files(files, settings, base=tiny_base)
    merged = merge_files(files, replace(settings, allow_ill_posed=True), base=tiny_base)
    assert any("ill-posed" in remark for remark in merged.remarks)


def test_copies_of_a_concept_may_not_have_two_weights(
    concept_file: Path, tiny_base: Base, tmp_path: Path, cache: Path
) -> None:
    again = tmp_path / "again.safetensors"
    save_concept(replace(load_concept(concept_file), name="again"), again, tiny_base)
    settings = MergeSettings(cache=cache, allow_ill_posed=True)
    with pytest.raises(ConfigError, match=r"mycat \(weight 1\) and again .* are the same concept"):
        merge_files([(concept_file, 1.0), (again, 0.5)], settings, base=tiny_base)
    merged = merge_files([(concept_file, 1.0), (again, 1.0)], settings, base=tiny_base)
    assert phrases(merged) == [["<mycat> cat"], ["<mycat> cat"]]


@pytest.fixture
def coarse_files(
    files: list[tuple[Path, float]], tiny_folder: Path, tmp_path: Path
) -> list[tuple[Path, float]]:
    """The same concepts as earlier versions saved them on a GPU."""
    base = load_base(str(tiny_folder))
    base.text_encoder.model.bfloat16()
    for file, _ in files:
        save_concept(load_concept(file), tmp_path / file.name, base)
    return [(tmp_path / file.name, weight) for file, weight in files]


def test_features_that_a_gpu_had_rounded_are_computed_again_where_the_base_is_at_hand(
    files: list[tuple[Path, float]],
    coarse_files: list[tuple[Path, float]],
    tiny_base: Base,
    cache: Path,
) -> None:
    settings = MergeSettings(method="constrained", cache=cache, allow_ill_posed=True)
    assert all(load_merge_inputs(file).is_coarse for file, _ in coarse_files)
    wanted, mended = (
        merge_files(given, settings, base=tiny_base) for given in (files, coarse_files)
    )
    without = merge_files(coarse_files, settings)
    assert not any("bfloat16" in remark for remark in [*wanted.remarks, *mended.remarks])
    assert sum("mycat has features in bfloat16" in remark for remark in without.remarks) == 1
    assert mended.report == wanted.report
    assert {error.exact for error in without.report.concepts} == {None}


def test_targets_are_checked_by_what_the_base_says_unless_it_is_another(
    files: list[tuple[Path, float]], tiny_base: Base, cache: Path
) -> None:
    settings = MergeSettings(method="constrained", cache=cache, allow_ill_posed=True)
    found = merge_files(files, settings, base=tiny_base).report.concepts
    assert all(error.exact is not None and error.exact != error.constraint for error in found)
    allowed = replace(settings, allow_other_base=True)
    foreign = replace(tiny_base, fingerprint="e" * 64)
    for error in merge_files(files, allowed, base=foreign).report.concepts:
        assert error.exact is None
