"""Numbers that a file keeps are the same wherever they were computed, to 1e-5.

A GPU's U-Net computes in bfloat16; here a CPU does the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from cdcore.concepts.storage import load_merge_inputs
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.merging.caption_bank import CaptionBank, written_captions
from cdcore.merging.caption_statistics import CaptionStatistics, caption_statistics
from cdcore.merging.merge import Merge, merge
from cdcore.merging.settings import MergeMethod
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.judge_embedders import JudgeEmbedder, JudgeLook
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from cdcore.scoring.clip_dino import load_clip, load_dino
from cdcore.training.engine import ConceptParameters
from tests.cdcore.concept_case import write_concept
from tests.cdcore.embedder_case import dino_folder, save_clip
from tests.cdcore.training_case import config

TOLERANCE = 1e-5
BANK = CaptionBank.split(written_captions(pocket=True).fitted[:120])


@pytest.fixture(params=[torch.bfloat16, torch.float16], ids=str)
def other(request: pytest.FixtureRequest, tiny_folder: Path) -> Base:
    """The tiny base as a GPU has it."""
    base = load_base(str(tiny_folder), dtype=request.param)
    assert base.seam.dtype == base.seam.stack.dtype == request.param
    assert {one.dtype for one in base.seam.unet.parameters()} == {request.param}
    return base


def statistics_and_merge(base: Base, folder: Path) -> tuple[list[Path], CaptionStatistics, Merge]:
    """Save two concepts with a base, and merge them with its statistics."""
    files = concepts(base, folder)
    statistics = caption_statistics(base, BANK)
    return files, statistics, merged(files, statistics, base)


def concepts(base: Base, folder: Path) -> list[Path]:
    """Save two concepts with a base."""
    return [
        write_concept(base, folder, noun, name=name, seed=seed, rank=2, rows=9 + seed)
        for seed, (noun, name) in enumerate((("cat", "mycat"), ("wooden pot", "mypot")))
    ]


def merged(
    files: Sequence[Path],
    statistics: CaptionStatistics,
    base: Base,
    method: MergeMethod = "constrained",
) -> Merge:
    return merge(
        [load_merge_inputs(file) for file in files],
        statistics,
        method=method,
        # A text encoder with random weights tells hardly any two prompts apart.
        allow_ill_posed=True,
        encoder=base.text_encoder,
    )


def same(one: Tensor, other: Tensor) -> bool:
    return bool((one.double() - other.double()).norm() <= TOLERANCE * one.double().norm())


def test_concepts_statistics_and_merges_do_not_depend_on_the_precision(
    tiny_base: Base, other: Base, tmp_path: Path
) -> None:
    assert other.fingerprint == tiny_base.fingerprint
    assert other.autoencoder_fingerprint == tiny_base.autoencoder_fingerprint
    (files, statistics, made), (halves, of_half, again) = (
        statistics_and_merge(base, tmp_path / name)
        for base, name in ((tiny_base, "full"), (other, "half"))
    )
    for file, half in zip(files, halves, strict=True):
        kept, found = load_file(file), load_file(half)
        assert kept.keys() == found.keys()
        assert all(same(kept[name], found[name]) for name in kept)
        assert load_merge_inputs(file).digest == load_merge_inputs(half).digest
    for name in ("factor", "held_out"):
        assert same(getattr(statistics, name), getattr(of_half, name))
    for name in ("base_energy", "condition"):
        assert getattr(of_half, name) == pytest.approx(getattr(statistics, name), rel=TOLERANCE)
    assert same(made.concept.update.dense(), again.concept.update.dense())
    assert flat(again.report) == pytest.approx(flat(made.report), rel=TOLERANCE)


@pytest.mark.parametrize("method", ["constrained", "ridge"])
def test_a_merge_of_mixed_precisions_is_that_of_one(
    tiny_base: Base, other: Base, tmp_path: Path, method: MergeMethod
) -> None:
    """A concept is made on a GPU, another on a CPU, and captions are counted on either."""
    cat, pot = concepts(tiny_base, tmp_path / "full")
    half_cat, half_pot = concepts(other, tmp_path / "half")
    statistics, of_half = (caption_statistics(base, BANK) for base in (tiny_base, other))
    whole = merged([cat, pot], statistics, tiny_base, method)
    mixes: tuple[tuple[list[Path], CaptionStatistics, Base], ...] = (
        ([half_cat, half_pot], statistics, tiny_base),
        ([cat, pot], of_half, tiny_base),
        ([half_cat, pot], of_half, other),
        ([cat, half_pot], statistics, other),
    )
    for files, counted, base in mixes:
        made = merged(files, counted, base, method)
        assert same(whole.concept.update.dense(), made.concept.update.dense())
        assert flat(made.report) == pytest.approx(flat(whole.report), rel=TOLERANCE)


def flat(report: Any) -> dict[str, float]:
    described = asdict(report)
    parts = {"": described} | {part["name"]: part for part in described.pop("concepts")}
    return {
        f"{of} {name}": value
        for of, part in parts.items()
        for name, value in part.items()
        if isinstance(value, float)
    }


def test_training_starts_from_the_same_numbers(tiny_base: Base, other: Base) -> None:
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for kept, found in zip(
        tiny_base.encode_pixels(pixels), other.encode_pixels(pixels), strict=True
    ):
        assert same(kept, found)
    starts = [ConceptParameters.initial(base, config()) for base in (tiny_base, other)]
    assert torch.equal(*(start.tokens for start in starts))
    assert torch.equal(*(KVBase.of(base).weights for base in (tiny_base, other)))
    prompts = ["a red cat on the grass", ""]
    assert same(tiny_base.text_encoder.encode(prompts), other.text_encoder.encode(prompts))


def judge() -> Judge:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Judge.untrained(build_tokenizer(words()), layers=1).eval()


EMBEDDERS: dict[str, Callable[[Path], Any]] = {
    "judge": lambda _: JudgeEmbedder(judge()),
    "judge's look": lambda _: JudgeLook(judge()),
    "CLIP": lambda folder: load_clip(str(save_clip(folder))),
    "DINO": lambda folder: load_dino(str(dino_folder(folder, "vit"))),
    "DINOv2": lambda folder: load_dino(str(dino_folder(folder, "dinov2"))),
}


def roundings(work: Callable[[Tensor], object]) -> set[bool]:
    """Return whether a GPU would have been allowed to round in each convolution of ``work``."""
    seen: list[bool] = []

    def look(module: nn.Module, _: Any) -> None:
        if isinstance(module, nn.Conv2d):
            seen.append(torch.backends.cudnn.allow_tf32)

    hook = register_module_forward_pre_hook(look)
    try:
        work(torch.zeros(1, 3, 64, 64))
    finally:
        hook.remove()
    assert seen
    return set(seen)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_scores_are_computed_without_a_gpus_rounding(name: str, tmp_path: Path) -> None:
    before = torch.backends.cudnn.allow_tf32
    assert roundings(EMBEDDERS[name](tmp_path).embed_pictures) == {False}
    assert torch.backends.cudnn.allow_tf32 == before


def test_latents_are_computed_without_a_gpus_rounding(tiny_base: Base) -> None:
    assert roundings(tiny_base.encode_pixels) == {False}
