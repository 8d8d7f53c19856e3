"""Tests of `cdcore.merging.held_out_captions`."""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import pytest

from cdcore.merging.caption_bank import written_captions
from cdcore.merging.held_out_captions import pocket_captions, real_captions
from cdcore.pocket.scenes.caption import words

FUNCTION_WORDS = {
    *("a", "an", "the", "of", "in", "on", "at", "by", "with", "and", "or", "out", "is", "are"),
}
"""Words that say nothing of what a picture shows."""


def said(captions: Iterable[str]) -> set[str]:
    return {word for caption in captions for word in re.findall(r"[\w-]+", caption)}


def test_held_out_captions_of_pictures_share_no_word_of_content_with_fitted_ones() -> None:
    bank = written_captions(pocket=False)
    assert said(bank.fitted) & said(bank.held_out) <= FUNCTION_WORDS
    assert said(islice(real_captions(random.Random(1)), 2000)) & said(bank.fitted) <= FUNCTION_WORDS


def test_held_out_captions_of_the_pocket_say_its_world_in_other_forms() -> None:
    """Its vocabulary has no other things: what differs is how they are said."""
    bank = written_captions(pocket=True)
    assert said(bank.held_out) <= set(words())
    assert {"my", "is", "this", "that", "from", "like"} <= said(bank.held_out) - said(bank.fitted)
    openings = {" ".join(caption.split()[:2]) for caption in bank.fitted}
    assert not openings & {" ".join(caption.split()[:2]) for caption in bank.held_out}


@pytest.mark.parametrize("captions", [real_captions, pocket_captions])
def test_captions_are_the_same_for_a_seed_and_many(
    captions: Callable[[random.Random], Iterator[str]],
) -> None:
    drawn = list(islice(captions(random.Random(7)), 400))
    assert drawn == list(islice(captions(random.Random(7)), 400))
    assert len(set(drawn)) > 300
    assert not any("  " in caption or caption != caption.strip() for caption in drawn)
