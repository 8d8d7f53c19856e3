"""Tests of `cdcore.concepts.diffusers_pipeline`."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.diffusers_pipeline import apply, remove
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.errors import BaseMismatchError, BaseModelError, ConceptFileError, TokenError
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from tests.cdcore.concept_case import make_concept

PROMPT = "photo of a <mycat> cat, in the snow"


@pytest.fixture
def pipe(tiny_folder: Path) -> Any:
    made = StableDiffusionPipeline.from_pretrained(tiny_folder)
    made.set_progress_bar_config(disable=True)
    return made


def concept(base: Base, *tokens: str, seed: int = 0, rank: int | None = None) -> Concept:
    names = tokens or ("<mycat>",)
    nouns = ["cat"] * len(names)
    return make_concept(base, *nouns, tokens=names, seed=seed, rank=rank, rows=seed + 1)


def state(pipe: Any) -> dict[str, Tensor]:
    """All weights of the parts that a concept changes."""
    return {
        f"{part}.{name}": tensor.clone()
        for part in ("unet", "text_encoder")
        for name, tensor in getattr(pipe, part).state_dict().items()
    }


def ids(pipe: Any, *prompts: str) -> list[list[int]]:
    found: list[list[int]] = pipe.tokenizer(list(prompts), padding="max_length").input_ids
    return found


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def picture(pipe: Any, prompt: str = PROMPT, **settings: Any) -> Tensor:
    """A picture (3, S, S) in [-1, 1] by the pipeline's own means."""
    shown = pipe(
        prompt,
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
        **settings,
    )
    pixels: Tensor = shown.images[0]
    return 2 * pixels - 1


def our_picture(base: Base, made: Concept, prompt: str = PROMPT) -> Tensor:
    request = Request(
        prompt=prompt,
        seed=5,
        steps=4,
        guidance_scale=3.0,
        sampler="ddim",
        update=made.update,
        tokens=made.tokens,
    )
    return sample(base, [request])[0]


@pytest.mark.parametrize("rank", [None, 3])
def test_a_stock_pipeline_draws_what_our_own_sampler_draws(
    pipe: Any, tiny_base: Base, tmp_path: Path, rank: int | None
) -> None:
    path = tmp_path / "mycat.safetensors"
    save_concept(concept(tiny_base, rank=rank), path, tiny_base)
    before = picture(pipe, "photo of a cat")
    made = apply(pipe, path)
    assert made.phrases == ("<mycat> cat",)
    shown = picture(pipe)
    torch.testing.assert_close(shown, our_picture(tiny_base, made), rtol=0, atol=1e-4)
    assert (shown - before).abs().mean() > 1e-2


def test_a_concept_of_two_tokens_has_both(pipe: Any, tiny_base: Base) -> None:
    made = concept(tiny_base, "<mycat>", "<mydog>")
    prompt = "a <mydog> cat and a <MyCat> cat"
    apply(pipe, made)
    torch.testing.assert_close(
        picture(pipe, prompt), our_picture(tiny_base, made, prompt), rtol=0, atol=1e-4
    )


def test_removing_gives_the_base_back_bit_for_bit(pipe: Any, tiny_base: Base) -> None:
    prompts = ("a cat", "photo of a mycat, <mycat>!")
    before, tokens, described = state(pipe), ids(pipe, *prompts), pipe.text_encoder.config.to_dict()
    apply(pipe, concept(tiny_base, "<mycat>", "<mydog>"))
    assert not same(state(pipe), before)
    assert ids(pipe, *prompts) != tokens
    remove(pipe)
    assert same(state(pipe), before)
    assert ids(pipe, *prompts) == tokens
    assert pipe.text_encoder.config.to_dict() == described
    remove(pipe)
    assert same(state(pipe), before)


def test_applying_another_concept_replaces_the_first(
    pipe: Any, tiny_base: Base, tiny_folder: Path
) -> None:
    second = concept(tiny_base, seed=7)
    apply(pipe, concept(tiny_base, "<mycat>", "<mydog>"))
    apply(pipe, second)
    fresh: Any = StableDiffusionPipeline.from_pretrained(tiny_folder)
    apply(fresh, second)
    assert same(state(pipe), state(fresh))
    assert ids(pipe, PROMPT, "<mydog>") == ids(fresh, PROMPT, "<mydog>")
    again = state(pipe)
    apply(pipe, second)
    assert same(state(pipe), again)


def test_a_concept_without_a_token_changes_no_token(pipe: Any, tiny_base: Base) -> None:
    made = replace(concept(tiny_base), tokens={}, subjects=(Subject(class_noun="cat", token=None),))
    table = pipe.text_encoder.get_input_embeddings().weight
    apply(pipe, made)
    assert pipe.text_encoder.get_input_embeddings().weight is table
    torch.testing.assert_close(
        picture(pipe, "a cat"), our_picture(tiny_base, made, "a cat"), rtol=0, atol=1e-4
    )
    remove(pipe)


def test_pipelines_that_share_their_parts_share_the_concept(pipe: Any, tiny_base: Base) -> None:
    before = state(pipe)
    apply(pipe, concept(tiny_base))
    other: Any = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    start = torch.zeros(1, 3, 64, 64)
    assert picture(other, image=start, strength=1.0).isfinite().all()
    remove(other)
    assert same(state(pipe), before)


def test_a_pipeline_with_a_concept_can_be_saved_and_read_by_diffusers_alone(
    pipe: Any, tiny_base: Base, tmp_path: Path
) -> None:
    apply(pipe, concept(tiny_base))
    pipe.save_pretrained(tmp_path)
    read: Any = StableDiffusionPipeline.from_pretrained(tmp_path)
    read.set_progress_bar_config(disable=True)
    assert torch.equal(picture(read), picture(pipe))


def test_other_embeddings_that_came_later_stay(pipe: Any, tiny_base: Base) -> None:
    row = torch.ones(tiny_base.seam.layout.text_width)
    apply(pipe, concept(tiny_base))
    pipe.load_textual_inversion(row, token="<mystyle>")
    remove(pipe)
    (found,) = ids(pipe, "<mystyle>")
    table = pipe.text_encoder.get_input_embeddings().weight
    assert len(table) == len(pipe.tokenizer) == len(tiny_base.text_encoder.embedding_table) + 1
    assert torch.equal(table[found[1]], row)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_half_precision_is_the_same_base(tiny_folder: Path, tiny_base: Base, dtype: Any) -> None:
    pipe: Any = StableDiffusionPipeline.from_pretrained(tiny_folder, dtype=dtype)
    before, made = state(pipe), concept(tiny_base)
    apply(pipe, made)
    stack = tiny_base.seam.layout.stack(pipe.unet)
    assert stack.dtype == dtype
    expected = tiny_base.seam.stack.to(dtype).float() + made.update.dense()
    assert torch.equal(stack, expected.to(dtype))
    remove(pipe)
    assert same(state(pipe), before)


def test_another_base_is_refused_unless_allowed(pipe: Any, tiny_base: Base) -> None:
    before = state(pipe)
    other = replace(concept(tiny_base), base_fingerprint="f" * 64)
    with pytest.raises(BaseMismatchError, match="allow_other_base=True"):
        apply(pipe, other)
    assert same(state(pipe), before)
    apply(pipe, other, allow_other_base=True)
    assert not same(state(pipe), before)
    apply(pipe, concept(tiny_base))
    with pytest.raises(BaseMismatchError, match="this pipeline is another one"):
        apply(pipe, other)


def test_a_base_in_bfloat16_is_not_known_again(tiny_folder: Path, tiny_base: Base) -> None:
    pipe: Any = StableDiffusionPipeline.from_pretrained(tiny_folder, dtype=torch.bfloat16)
    with pytest.raises(BaseMismatchError, match=r"torch\.bfloat16.*use that base in float32"):
        apply(pipe, concept(tiny_base))


UNFIT: dict[str, Callable[[Concept], Concept]] = {
    "update": lambda made: replace(made, update=DenseUpdate(torch.zeros(8, 32))),
    "token": lambda made: replace(made, tokens={"<mycat>": torch.zeros(8)}),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_concept_of_another_shape_is_refused(pipe: Any, tiny_base: Base, kind: str) -> None:
    before = state(pipe)
    with pytest.raises(BaseMismatchError, match="use the base"):
        apply(pipe, UNFIT[kind](concept(tiny_base)), allow_other_base=True)
    assert same(state(pipe), before)


def test_a_token_of_the_pipeline_s_own_is_not_overwritten(pipe: Any, tiny_base: Base) -> None:
    pipe.load_textual_inversion(torch.ones(32), token="<mycat>")
    before = state(pipe)
    with pytest.raises(TokenError, match="already has a token <mycat>"):
        apply(pipe, concept(tiny_base), allow_other_base=True)
    assert same(state(pipe), before)


def test_what_is_no_concept_file_changes_nothing(pipe: Any, tmp_path: Path) -> None:
    before = state(pipe)
    with pytest.raises(ConceptFileError, match="no such file"):
        apply(pipe, str(tmp_path / "mycat.safetensors"))
    assert same(state(pipe), before)


def test_weights_that_are_elsewhere_are_refused(pipe: Any, tiny_base: Base) -> None:
    pipe.unet.to("meta")
    with pytest.raises(BaseModelError, match="quantized or offloaded"):
        apply(pipe, concept(tiny_base))


def test_what_is_no_such_pipeline_is_refused(pipe: Any, tiny_base: Base) -> None:
    pipe.text_encoder = None
    with pytest.raises(BaseModelError, match="it has no text_encoder"):
        apply(pipe, concept(tiny_base))


def test_a_pipeline_with_a_concept_can_be_let_go_of(pipe: Any, tiny_base: Base) -> None:
    apply(pipe, concept(tiny_base))
    alive = weakref.ref(pipe.unet)
    pipe.unet = None
    gc.collect()
    assert alive() is None
