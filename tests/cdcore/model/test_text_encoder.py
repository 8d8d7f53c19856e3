"""Tests of `cdcore.model.text_encoder`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import CLIPTokenizer

from cdcore.errors import TokenError
from cdcore.model.base import Base
from cdcore.model.text_encoder import TextEncoder
from tests.small_families import FamilyName

PROMPTS = ["a red cat on the grass", "", "an Unheard-of word, twice!"]


@pytest.fixture(scope="module")
def encoder(tiny_base: Base) -> TextEncoder:
    return tiny_base.text_encoder


def padded_ids(encoder: TextEncoder, prompts: list[str]) -> Tensor:
    """What the tokenizer alone makes of prompts."""
    ids: Tensor = encoder.tokenizer(
        prompts, padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def row_of(encoder: TextEncoder, word: str) -> Tensor:
    (id_,) = encoder.word_ids(word)
    return encoder.embedding_table[id_].clone()


def test_without_modifier_tokens_features_are_the_plain_model_s(encoder: TextEncoder) -> None:
    theirs = encoder.model(input_ids=padded_ids(encoder, PROMPTS)).last_hidden_state
    assert torch.equal(encoder.encode(PROMPTS), theirs)
    assert torch.equal(encoder.encode(PROMPTS, {"<mycat>": torch.zeros(32)}), theirs)


@settings(max_examples=50)
@example("\x1f")
@given(prompt=st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"])))
def test_ids_of_ordinary_text_are_the_tokenizer_s(encoder: TextEncoder, prompt: str) -> None:
    encoded = encoder.tokenize([prompt], ["<mycat>"])
    assert torch.equal(encoded.ids, padded_ids(encoder, [prompt]))
    assert (encoded.modifiers == -1).all()


def test_a_row_equal_to_a_word_s_gives_the_word_s_features(encoder: TextEncoder) -> None:
    rows = {"<one>": row_of(encoder, "red"), "<two-2>": row_of(encoder, "dog")}
    named = encoder.encode(["a <one> cat next to a <two-2>", "<two-2>"], rows)
    plain = encoder.encode(["a red cat next to a dog", "dog"])
    assert torch.equal(named, plain)
    swapped = dict(reversed(rows.items()))
    assert torch.equal(encoder.encode(["a <one> cat next to a <two-2>", "<two-2>"], swapped), plain)


@pytest.mark.parametrize("prompt", ["a<one>cat", "a <ONE> cat", "A <One>  Cat"])
def test_spaces_and_case_around_a_modifier_token_do_not_matter(
    encoder: TextEncoder, prompt: str
) -> None:
    rows = {"<one>": row_of(encoder, "red")}
    assert torch.equal(encoder.encode([prompt], rows), encoder.encode(["a red cat"]))


def test_gradients_reach_the_rows_and_nothing_else(encoder: TextEncoder) -> None:
    used, unused = torch.zeros(32, requires_grad=True), torch.zeros(32, requires_grad=True)
    features = encoder.encode(["a photo of a <one> cat"], {"<one>": used, "<two>": unused})
    features[:, :5].sum().backward(retain_graph=True)
    assert used.grad is not None
    assert not used.grad.any(), "what stands before a token does not depend on it"
    features[:, 5:].square().sum().backward()
    assert used.grad.any()
    assert unused.grad is not None
    assert not unused.grad.any()
    assert all(part.grad is None for part in encoder.model.parameters())


def test_nothing_of_a_prompt_s_rows_is_left_behind(encoder: TextEncoder) -> None:
    before = encoder.encode(PROMPTS)
    table = encoder.embedding_table.clone()
    encoder.encode(["<one>"], {"<one>": torch.ones(32)})
    with pytest.raises(RuntimeError):
        encoder.encode(["<one>"], {"<one>": torch.ones(31)})
    assert torch.equal(encoder.encode(PROMPTS), before)
    assert torch.equal(encoder.embedding_table, table)


def test_threads_that_share_an_encoder_do_not_see_each_other_s_rows(encoder: TextEncoder) -> None:
    rows = [encoder.initial_embedding(word) for word in ("cat", "barn", "dog", "grass")]

    def features(row: Tensor) -> Tensor:
        return encoder.encode(["a photo of <x>"], {"<x>": row})

    wanted = [features(row) for row in rows]
    with ThreadPoolExecutor(len(rows)) as pool:
        found = list(pool.map(features, rows * 50))
    assert all(map(torch.equal, found, wanted * 50))


def test_a_modifier_token_that_no_concept_has_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(TokenError, match=r"<hat>.*known modifier tokens: <mycat>"):
        encoder.encode(["a <mycat> with a <hat>"], {"<mycat>": torch.zeros(32)})
    with pytest.raises(TokenError, match="known modifier tokens: none"):
        encoder.encode(["<mycat>"])


def test_a_long_prompt_is_cut_and_keeps_its_end_token(encoder: TextEncoder) -> None:
    prompt = "a red cat " * 20
    encoded = encoder.tokenize([prompt, "<one> " * 60], ["<one>"])
    assert encoded.ids.shape == encoded.modifiers.shape == (2, encoder.max_tokens)
    assert (encoded.ids[:, -1] == encoder.tokenizer.eos_token_id).all()
    assert torch.equal(encoded.ids[:1], padded_ids(encoder, [prompt]))
    assert encoded.modifiers[1].tolist() == [-1, *[0] * (encoder.max_tokens - 2), -1]


def test_a_word_has_ids_and_an_initial_row_of_its_own(encoder: TextEncoder) -> None:
    cat, pot = encoder.word_ids("cat"), encoder.word_ids("wooden pot")
    assert (len(cat), len(pot)) == (1, 2)
    row = encoder.initial_embedding("wooden pot")
    assert torch.equal(row, encoder.embedding_table[pot[-1]])
    row.zero_()
    assert encoder.embedding_table[pot[-1]].any()


class Table(nn.Module):
    """A text model of which only the token table is asked for."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.table = nn.Embedding(words, 4)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.table


@pytest.fixture(scope="module")
def clip_like() -> TextEncoder:
    """Like CLIP's vocabulary it has ``ktn`` inside of words only, ``pll`` both inside and whole."""
    letters = "aklnptuwy"
    merges = [("k", "t"), ("kt", "n"), ("l", "l"), ("p", "ll"), ("l", "l</w>"), ("p", "ll</w>")]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    tokenizer = CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate([*pieces, "<s>", "<e>"])},
        merges=merges,
        unk_token="<e>",
        bos_token="<s>",
        eos_token="<e>",
        pad_token="<e>",
    )
    return TextEncoder(tokenizer, Table(len(pieces) + 2))


@pytest.mark.parametrize(
    ("word", "piece"),
    [
        *(("ktn", "ktn"), ("KTN", "ktn"), ("ktn@@", "ktn")),
        *(("pll", "pll</w>"), ("pll@@", "pll"), ("PLL@@", "pll")),
        # The vocabulary lacks these, as a piece too: the last token of the word stands for it.
        *(("kta", "a</w>"), ("kta@@", "a</w>"), ("ktn pll", "pll</w>"), ("pll ktn", "n</w>")),
    ],
)
def test_what_a_token_starts_from_is_a_word_or_a_piece_of_words(
    clip_like: TextEncoder, word: str, piece: str
) -> None:
    expected = clip_like.embedding_table[clip_like.tokenizer.get_vocab()[piece]]
    assert torch.equal(clip_like.initial_embedding(word), expected)


@pytest.mark.parametrize("word", ["", "  ", "<mycat>", "cat>", "wolpertingerish"])
def test_what_is_no_usable_noun_is_refused(encoder: TextEncoder, word: str) -> None:
    with pytest.raises(TokenError, match="give a"):
        encoder.word_ids(word)


@settings(max_examples=50)
@example("a <one> cat " * 12)
@example("🐈 " * 40)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=90))
def test_what_is_not_read_changes_nothing_and_what_is_read_does_not_pass_the_end(
    encoder: TextEncoder, prompt: str
) -> None:
    tokens = ["<one>"] if "<one>" in prompt.lower() else []
    try:
        ids = encoder.tokenize([prompt], tokens).ids
    except TokenError:
        return
    unread = encoder.unread(prompt)
    fits = bool((ids[0] == encoder.tokenizer.pad_token_id).sum() > 1)
    assert unread is None or not fits
    if unread is not None:
        assert unread.read + unread.text == prompt
        assert unread.length > unread.room == encoder.max_tokens - 2


def test_prompts_that_differ_only_behind_the_end_are_told_apart_by_what_is_unread(
    encoder: TextEncoder,
) -> None:
    rows = {"<one>": torch.ones(32)}
    filler = "a red cat on the grass " * 7
    with_token, without = filler + "near a <one> cat", filler + "near a dog"
    assert torch.equal(encoder.encode([with_token], rows), encoder.encode([without], rows))
    unread = encoder.unread(with_token)
    assert unread is not None
    assert unread.tokens == ("<one>",)
    assert unread.text.endswith("near a <one> cat")
    assert encoder.unread("a <one> cat") is None
    assert encoder.unread("a cat " * 19) is None


FAMILY_NAMES = ["sd1", "sd2", "sdxl"]
TEXTS = [
    "photo of a teddybear",
    "a wooden pot, naïve café",
    "🙂 猫 and an emoji: 👩‍🚀",
    "",
    "a cat " * 60,
    "a <|endoftext|> in the middle",
]


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("text", TEXTS)
def test_with_clip_s_words_features_are_those_of_the_stock_towers(
    small_base: Callable[[FamilyName], Base],
    small_folder: Callable[[FamilyName], Path],
    family: FamilyName,
    text: str,
) -> None:
    encoder, folder = small_base(family).text_encoder, small_folder(family)
    features, pooled = encoder.read([text])
    parts, theirs = [], None
    for number, model in enumerate(encoder.models, start=1):
        suffix = "" if number == 1 else f"_{number}"
        own = CLIPTokenizer.from_pretrained(folder, subfolder=f"tokenizer{suffix}")
        ids = own(text, padding="max_length", truncation=True, return_tensors="pt").input_ids
        output: Any = model(input_ids=ids, output_hidden_states=True)
        parts.append(output.last_hidden_state if family != "sdxl" else output.hidden_states[-2])
        theirs = getattr(output, "text_embeds", None)
    assert torch.equal(features, torch.cat(parts, dim=-1))
    assert (pooled is None) is (theirs is None)
    assert pooled is None or theirs is None or torch.equal(pooled, theirs)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_each_tower_reads_its_part_of_a_token_s_row(
    small_base: Callable[[FamilyName], Base], family: FamilyName
) -> None:
    """Where the rows of both are those of a word, the prompt reads as with the word."""
    encoder = small_base(family).text_encoder
    row = encoder.initial_embedding("teddybear")
    assert row.shape == (sum(encoder.widths),)
    named, pooled = encoder.read(["a <new1> on a chair"], {"<new1>": row})
    (*_, last) = encoder.word_ids("teddybear")
    piece = encoder.tokenizer.convert_ids_to_tokens(last).removesuffix("</w>")
    plain, plain_pooled = encoder.read([f"a {piece} on a chair"])
    assert torch.equal(named, plain)
    if pooled is not None and plain_pooled is not None:
        assert torch.equal(pooled, plain_pooled)
        other, other_pooled = encoder.read(["a <new1> on a chair"], {"<new1>": row + 1})
        assert not torch.equal(other, plain)
        assert other_pooled is not None
        assert not torch.equal(other_pooled, plain_pooled)


def test_a_token_at_the_very_end_of_77_is_read_and_one_after_it_is_not(
    small_base: Callable[[FamilyName], Base],
) -> None:
    encoder = small_base("sdxl").text_encoder
    rows = {"<new1>": encoder.initial_embedding("teddybear")}
    fits, passes = "a " * 74 + "<new1>", "a " * 75 + "<new1>"
    assert encoder.tokenize([fits], ["<new1>"]).modifiers[0, 75] == 0
    assert encoder.unread(fits) is None
    cut = encoder.unread(passes)
    assert cut is not None
    assert cut.tokens == ("<new1>",)
    assert torch.equal(encoder.read([passes], rows)[0], encoder.read(["a " * 75])[0])
