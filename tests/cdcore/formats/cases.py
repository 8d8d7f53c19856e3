"""Small concepts of any base, and the ways through a file and through a pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.subject import Subject
from cdcore.formats.format import Foreign, Format
from cdcore.formats.known_formats import recognise
from cdcore.formats.tensors.container import open_content
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from tests.tiny import random_update

PROMPTS = ("photo of a <my0> cat", "a <my0> cat on the beach")


def make_concept(
    base: KVBase,
    *,
    rank: int | None = None,
    has_blocks: bool = False,
    nouns: Sequence[str] = ("cat",),
    has_tokens: bool = True,
) -> Concept:
    """A concept of random numbers; its tokens are ``<my0>``, ``<my1>`` and on."""
    generator = torch.Generator().manual_seed(5)
    subjects = tuple(
        Subject(class_noun=noun, token=f"<my{number}>" if has_tokens else None)
        for number, noun in enumerate(nouns)
    )
    layout = base.layout
    widths = layout.widths if has_blocks else None
    return Concept(
        name="mycat",
        update=random_update(layout.shape, rank=rank, widths=widths),
        tokens={
            subject.token: torch.randn(layout.text_width, generator=generator)
            for subject in subjects
            if subject.token is not None
        },
        subjects=subjects,
        base_name=base.name,
        base_fingerprint="0" * 64,
        training={"steps": 250, "learning_rate": 8e-5},
    )


def write(format_: Format, concept: Concept, base: KVBase, folder: Path) -> list[Path]:
    """Write a concept in float32; the paths of its files."""
    artifacts = format_.write(concept, base, torch.float32)
    for artifact in artifacts:
        artifact.save(folder / artifact.path)
    return [folder / artifact.path for artifact in artifacts]


def read(path: Path, base: KVBase) -> Foreign:
    """Read what is recognised."""
    content = open_content(path)
    format_ = recognise(content)
    assert format_.read is not None
    return format_.read(content, base)


@torch.no_grad()
def our_prediction(base: Base, concept: Concept) -> Tensor:
    """What this project's own U-Net predicts for the prompts under the concept."""
    features = base.text_encoder.encode(PROMPTS, concept.tokens)
    z, timesteps = noise(base)
    text_kv = base.seam.project(features, concept.update)
    return base.seam.predict(z, timesteps, text_kv)


def noise(base: Base) -> tuple[Tensor, Tensor]:
    """Latents and timesteps for the prompts."""
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(len(PROMPTS), *base.latent_shape, generator=generator)
    return z, torch.tensor([10, 800])


def stock_pipeline(folder: Path) -> Any:
    """The tiny base as diffusers alone loads it."""
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)


@torch.no_grad()
def stock_prediction(pipeline: Any, base: Base) -> Tensor:
    """What a diffusers pipeline predicts for the prompts."""
    ids = pipeline.tokenizer(
        list(PROMPTS), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids
    features = pipeline.text_encoder(ids)[0]
    z, timesteps = noise(base)
    predicted: Tensor = pipeline.unet(z, timesteps, encoder_hidden_states=features).sample
    return predicted
