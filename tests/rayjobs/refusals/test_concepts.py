"""Tests of `rayjobs.refusals.concepts`."""

from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.errors import BaseMismatchError, BaseModelError, ConceptFileError, TokenError
from rayjobs.refusals.concepts import check_one_base, check_prompts, headers_of, shaped_base


def test_concepts_of_one_base_pass(
    concept_file: Path, other_concept_file: Path, tiny_folder: Path
) -> None:
    headers = headers_of([concept_file, other_concept_file])
    check_one_base(headers)
    assert shaped_base(str(tiny_folder), headers).name == str(tiny_folder)
    check_prompts(["a <mycat> cat in a <MYPOT> wooden pot", ""], headers)


def test_concepts_of_two_bases_are_refused(concept_file: Path) -> None:
    (header,) = headers_of([concept_file])
    for other in (replace(header, base_fingerprint="0" * 64), replace(header, shape=(1, 2))):
        with pytest.raises(BaseMismatchError, match="merge concepts of one base only"):
            check_one_base([header, other])


def test_a_base_of_another_shape_or_none_is_refused(concept_file: Path) -> None:
    headers = headers_of([concept_file])
    with pytest.raises(BaseMismatchError, match="use the base that the concept was trained on"):
        shaped_base("pocket", headers)
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        shaped_base("no/such/base", headers)


def test_a_missing_file_is_refused(concept_file: Path) -> None:
    with pytest.raises(ConceptFileError, match="no such file"):
        headers_of([concept_file, Path("none.safetensors")])


def test_a_token_that_no_concept_has_is_refused_and_a_renamed_one_is_known(
    concept_file: Path,
) -> None:
    headers = headers_of([concept_file, concept_file])
    check_prompts(["<mycat> beside <mycat-2>"], headers)
    with pytest.raises(TokenError, match=r"names <dog>.*known modifier tokens: <mycat>, <mycat-2>"):
        check_prompts(["a cat", "a <dog>"], headers)
    with pytest.raises(TokenError, match="known modifier tokens: none"):
        check_prompts(["a <dog>"], [])
