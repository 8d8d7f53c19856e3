"""Tests of `cdcore.concepts.prompt_templates`."""

import pytest

from cdcore.concepts.prompt_templates import concept_prompts
from cdcore.pocket.scenes.caption import words


@pytest.mark.parametrize("pocket", [False, True])
def test_concept_prompts_name_the_concept_once_and_hold_out_others(pocket: bool) -> None:
    prompts = concept_prompts(pocket=pocket)
    assert len(prompts.sketch) >= 38
    assert len(prompts.held_out) >= 12
    assert not set(prompts.sketch) & set(prompts.held_out)
    assert all(text.count("{}") == 1 for text in (*prompts.sketch, *prompts.held_out))
    assert concept_prompts(pocket=pocket) == prompts


def test_prompts_of_a_pocket_concept_are_in_its_words() -> None:
    prompts = concept_prompts(pocket=True)
    said = " ".join((*prompts.sketch, *prompts.held_out)).replace("{}", "")
    assert set(said.split()) <= set(words())
