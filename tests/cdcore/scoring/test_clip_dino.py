from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cdcore.errors import BaseModelError
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from cdcore.scoring.clip_dino import (
    ClipEmbedder,
    DinoEmbedder,
    ImageTransform,
    load_clip,
    load_dino,
)
from tests.cdcore.embedder_case import SIDE, dino_folder, save_clip


def pixels(count: int, height: int = SIDE, width: int = SIDE) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


def test_clip_s_rows_are_those_of_the_whole_model_in_transformers(clip_folder: Path) -> None:
    from transformers import CLIPModel

    embedder, whole = load_clip(str(clip_folder)), CLIPModel.from_pretrained(clip_folder).eval()
    assert isinstance(embedder, ClipEmbedder)
    texts, tokenizer = ["a red cat", "a dog in the snow"], build_tokenizer(words())
    tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        both = whole(**tokens, pixel_values=((pixels(2) + 1) / 2 - mean) / std)
    torch.testing.assert_close(embedder.embed_pictures(pixels(2)), both.image_embeds)
    torch.testing.assert_close(embedder.embed_texts(texts), both.text_embeds)
    # logits = scale * cosine: the model's own view of what pictures and texts have in common.
    cosines = embedder.embed_pictures(pixels(2)) @ embedder.embed_texts(texts).T
    torch.testing.assert_close(both.logits_per_image, whole.logit_scale.exp() * cosines)


def test_a_text_that_is_too_long_is_cut(clip_folder: Path) -> None:
    rows = load_clip(str(clip_folder)).embed_texts(["a cat " * 60, "a cat " * 90])
    torch.testing.assert_close(rows[0], rows[1])


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_dino_s_row_is_the_class_token_of_the_prepared_picture(tmp_path: Path, kind: str) -> None:
    from transformers import AutoModel

    folder = dino_folder(tmp_path, kind)
    embedder, whole = load_dino(str(folder)), AutoModel.from_pretrained(folder).eval()
    assert isinstance(embedder, DinoEmbedder)
    # As in the protocol: 256 for 224, so 18 for 16.
    assert (embedder.transform.resize, embedder.transform.crop) == (18, SIDE)
    shown = pixels(3, 18, 24)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    middle = ((shown[..., 1:17, 4:20] + 1) / 2 - mean) / std
    with torch.no_grad():
        expected = whole(pixel_values=middle).last_hidden_state[:, 0]
    found = embedder.embed_pictures(shown)
    torch.testing.assert_close(found, functional.normalize(expected, dim=-1))


def test_preparing_is_pillow_s_bicubic_and_the_middle_square() -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    image = coarse.resize((90, 60), Image.Resampling.BILINEAR)
    prepared = ImageTransform(resize=20, crop=12)(as_pixels(image))
    expected = as_pixels(image.resize((30, 20), Image.Resampling.BICUBIC).crop((9, 4, 21, 16)))
    # Pillow rounds to whole steps of 1/255, twice.
    torch.testing.assert_close(prepared, expected, rtol=0, atol=2.5 / 127.5)


def as_pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_what_is_no_embedder_is_refused_with_a_remedy(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"DINO .* is a 'clip', expected one of vit, dinov2"):
        load_dino(str(clip_folder))
    with pytest.raises(BaseModelError, match=r"CLIP 'no/where' .*give --clip a folder"):
        load_clip("no/where")
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load_clip(str(tmp_path))
