"""The four stages of pretraining: what each one trains, on which loss, and how it is stored."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import (
    CLIPModel,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from cdcore.files import replacing
from cdcore.pocket.album import Album, open_album
from cdcore.pocket.architecture import (
    TEXT_WIDTH,
    build_autoencoder,
    build_noise_scheduler,
    build_towers,
    build_unet,
)
from cdcore.pocket.caption import full_caption, words
from cdcore.pocket.judge import Judge, label_scenes
from cdcore.pocket.reading import ReadingKey, with_odd_word
from cdcore.pocket.scene import KINDS, Scene
from cdcore.pocket.tokenizer import build_tokenizer

__all__ = ["STAGES", "Stage", "StageName", "open_stage"]

StageName = Literal["autoencoder", "towers", "unet", "judge"]
STAGES: tuple[StageName, ...] = ("autoencoder", "towers", "unet", "judge")

_KL_WEIGHT = 2e-5
_UNCONDITIONAL_SHARE = 0.1
_ODD_WORD_SHARE = 0.1
_READING_WEIGHT = 10.0
_MIN_SNR_GAMMA = 1.0
_SMALL_WEIGHT = 6.0
"""How much oftener a picture of a small thing is drawn: its few cells weigh little in the loss."""
_JUDGE_SEED_OFFSET = 1_000_003


class Stage(ABC):
    """One stage: a module to train, its loss, and how the result is stored."""

    name: StageName
    steps: int
    """Planned steps."""
    average_decay = 0.999
    """Decay of the running average of the weights, which is what is stored."""
    module: Any
    """An ``nn.Module`` that holds everything that trains."""
    matrix_learning_rate = 0.02
    """Of hidden matrices, which Muon updates."""
    learning_rate = 2e-3
    """Of all other parameters, which AdamW updates."""

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """Draw a batch and return its loss."""

    @abstractmethod
    def save(self, module: Any, folder: Path) -> None:
        """Write ``module``, a copy with averaged weights, to ``folder`` in half precision."""


def open_stage(
    name: StageName, folder: Path, work: Path, pictures: int, seed: int, device: str
) -> Stage:
    """Open a stage with the weights that ``folder`` holds, or with random ones.

    Args:
        name: Which stage.
        folder: The base so far.
        work: Where albums and latents are kept.
        pictures: Pictures in the album.
        seed: Seed of the world and of the initial weights.
        device: Torch device.
    """
    kinds: dict[StageName, type[_Autoencoder | _Towers | _Unet | _Judge]] = {
        "autoencoder": _Autoencoder,
        "towers": _Towers,
        "unet": _Unet,
        "judge": _Judge,
    }
    if name == "judge":
        seed, pictures = seed + _JUDGE_SEED_OFFSET, pictures // 2
    torch.manual_seed(seed)
    album = open_album(work, seed=seed, count=pictures)
    return kinds[name](folder, work, album, random.Random(seed), torch.device(device))


class _Autoencoder(Stage):
    name = "autoencoder"
    steps = 4000
    batch = 64
    crop = 32

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        self._album, self._device = album, device
        self.module = _autoencoder(folder).to(device, memory_format=torch.channels_last)

    def loss(self, step: int) -> Tensor:
        pixels = self._crops()
        posterior = self.module.encode(pixels).latent_dist
        decoded = self.module.decode(posterior.sample()).sample
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss: Tensor = functional.mse_loss(decoded.float(), pixels) + _KL_WEIGHT * divergence
        return loss

    def _crops(self) -> Tensor:
        """Draw a part of each of many pictures, which vary more than fewer whole ones."""
        pixels = _draw_pixels(self._album, self.batch, self._device)[1]
        last = pixels.shape[-1] - self.crop
        corners = torch.randint(last + 1, (self.batch, 2)).tolist()
        return torch.stack(
            [
                picture[:, top : top + self.crop, left : left + self.crop]
                for picture, (top, left) in zip(pixels, corners, strict=True)
            ]
        ).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def save(self, module: Any, folder: Path) -> None:
        pixels = _draw_pixels(self._album, 256, self._device)[1]
        latents = torch.cat([module.encode(part).latent_dist.sample() for part in pixels.split(32)])
        module.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        _save_half(module, folder / "vae")


class _Towers(Stage):
    name = "towers"
    steps = 550
    batch = 128

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        self._album, self._rng, self._device = album, rng, device
        self._tokenizer = build_tokenizer(words())
        self._key = ReadingKey(self._tokenizer, TEXT_WIDTH)
        self.module = _towers(folder, self._tokenizer).to(device)

    def loss(self, step: int) -> Tensor:
        indices, pixels = _draw_pixels(self._album, self.batch, self._device)
        captions = _prompts(self._album, indices, self._rng)
        tokens = _tokens(self._tokenizer, captions, self._device)
        texts = self.module.text_model(input_ids=tokens)
        pictures = self.module.vision_model(pixel_values=pixels).pooler_output
        matching = _matching_loss(
            functional.normalize(self.module.visual_projection(pictures), dim=-1),
            functional.normalize(self.module.text_projection(texts.pooler_output), dim=-1),
            self.module.logit_scale,
        )
        errors = (texts.last_hidden_state - self._key.rows(captions).to(self._device)).square()
        # The first end token stands for the whole text, which belongs to the contrastive loss.
        is_end = tokens == self._tokenizer.eos_token_id
        reading = errors[~(is_end & (is_end.cumsum(1) == 1))].mean()
        loss: Tensor = matching + _READING_WEIGHT * reading
        return loss

    def save(self, module: Any, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder / "tokenizer")
        _save_towers(module, folder)


class _Unet(Stage):
    name = "unet"
    steps = 6000
    batch = 48
    average_decay = 0.998

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        self._album, self._rng, self._device = album, rng, device
        self._tokenizer = build_tokenizer(words())
        self._autoencoder = _autoencoder(folder).to(device).requires_grad_(False)
        self._text_tower = _towers(folder, self._tokenizer).text_model.to(device)
        unet = _load(UNet2DConditionModel, folder / "unet") or build_unet()
        self.module = unet.to(device, memory_format=torch.channels_last)
        self._alphas_cumprod = build_noise_scheduler().alphas_cumprod.to(device)
        self._latents = _latents(self._autoencoder, album, work, folder)
        self._weights = _draw_weights(album.scenes)

    def loss(self, step: int) -> Tensor:
        indices = torch.multinomial(self._weights, self.batch, replacement=True)
        captions = _prompts(self._album, indices, self._rng)
        dropped = torch.rand(self.batch) < _UNCONDITIONAL_SHARE
        prompts = ["" if drop else text for drop, text in zip(dropped, captions, strict=True)]
        with torch.no_grad():
            features = self._text_tower(
                input_ids=_tokens(self._tokenizer, prompts, self._device)
            ).last_hidden_state
        return self._denoising_loss(indices, features)

    def _denoising_loss(self, indices: Tensor, features: Tensor) -> Tensor:
        mean, std = self._latents[:, indices].to(self._device).float()
        latents = (mean + std * torch.randn_like(std)) * self._autoencoder.config.scaling_factor
        noise = torch.randn_like(latents)
        timesteps = self._draw_timesteps()
        alpha = self._alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        prediction = self.module(noisy, timesteps, features).sample
        loss: Tensor = (prediction - velocity).square().mean()
        return loss

    def _draw_timesteps(self) -> Tensor:
        """Draw a timestep for each picture, the more often the more its loss weighs.

        Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eased: the
        loss of latents is weighted by min(SNR, gamma) + 1, the loss of velocity by that over
        SNR + 1. Drawing by the weight costs no step on what hardly counts. Stratified over the
        batch: every step sees the whole range of noise.
        """
        snr = self._alphas_cumprod / (1 - self._alphas_cumprod)
        weights = (snr.clamp(max=_MIN_SNR_GAMMA) + 1) / (snr + 1)
        shares = (torch.arange(self.batch) + torch.rand(self.batch)) / self.batch
        cumulated = weights.cumsum(0) / weights.sum()
        drawn = torch.searchsorted(cumulated, shares.to(self._device))
        return drawn.clamp(max=len(cumulated) - 1)

    def save(self, module: Any, folder: Path) -> None:
        _save_half(module, folder / "unet")
        build_noise_scheduler().save_pretrained(folder / "scheduler")


class _Judge(Stage):
    name = "judge"
    steps = 1000
    matrix_learning_rate = 0.1
    batch = 96

    def __init__(
        self, folder: Path, work: Path, album: Album, rng: random.Random, device: torch.device
    ) -> None:
        self._album, self._rng, self._device = album, rng, device
        judge_folder = folder / "judge"
        if judge_folder.exists():
            judge = Judge.load(judge_folder).train().requires_grad_(True)
        else:
            tokenizer = build_tokenizer(words())
            judge = Judge.untrained(tokenizer)
        self.module = judge.to(device)

    def loss(self, step: int) -> Tensor:
        indices, pixels = _draw_pixels(self._album, self.batch, self._device)
        captions = _mixed_captions(self._album, indices, self._rng)
        pictures, logits = self.module.see(pixels)
        texts = self.module.embed_texts(captions)
        labels = label_scenes([self._album.scenes[index] for index in indices.tolist()])
        return (
            _matching_loss(pictures, texts, self.module.logit_scale)
            + len(KINDS)
            * functional.binary_cross_entropy_with_logits(
                logits.kinds, labels.kinds.to(self._device)
            )
            + functional.cross_entropy(
                logits.colors.flatten(0, 1),
                labels.colors.flatten().to(self._device),
                ignore_index=-1,
            )
            + functional.cross_entropy(logits.places, labels.places.to(self._device))
        )

    def save(self, module: Any, folder: Path) -> None:
        module.save(folder / "judge")


def _draw_pixels(album: Album, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    indices = torch.randint(len(album), (count,))
    pixels = album.pixels(indices).to(device)
    return indices, pixels.contiguous(memory_format=torch.channels_last)


def _draw_weights(scenes: Sequence[Scene]) -> Tensor:
    return torch.tensor([_SMALL_WEIGHT if scene.framing == "small" else 1.0 for scene in scenes])


def _mixed_captions(album: Album, indices: Tensor, rng: random.Random) -> list[str]:
    loose = album.captions(indices, rng)
    full = [full_caption(album.scenes[index]) for index in indices.tolist()]
    return [rng.choice(pair) for pair in zip(loose, full, strict=True)]


def _prompts(album: Album, indices: Tensor, rng: random.Random) -> list[str]:
    """Word captions as users do: with more or less of what is there, and now and then odd."""
    return [
        with_odd_word(text, rng) if rng.random() < _ODD_WORD_SHARE else text
        for text in _mixed_captions(album, indices, rng)
    ]


def _tokens(tokenizer: CLIPTokenizer, texts: list[str], device: torch.device) -> Tensor:
    encoded = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    ids: Tensor = encoded.input_ids.to(device)
    return ids


def _matching_loss(pictures: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """The symmetric loss of Radford et al. 2021 (CLIP, arXiv 2103.00020), section 2.3."""
    logits = pictures @ texts.T * logit_scale.clamp(max=4.6052).exp()
    truth = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)) / 2


@torch.no_grad()
def _latents(autoencoder: AutoencoderKL, album: Album, work: Path, folder: Path) -> Tensor:
    """Return posterior means and deviations of the album, (2, N, C, h, w) float16."""
    weights = (folder / "vae" / "diffusion_pytorch_model.safetensors").stat()
    path = work / f"{album.name}-latents-{weights.st_mtime_ns}.safetensors"
    if not path.exists():
        parts = []
        for indices in torch.arange(len(album)).split(32):
            pixels = album.pixels(indices).to(autoencoder.device)
            posterior = autoencoder.encode(pixels).latent_dist
            parts.append(torch.stack([posterior.mean, posterior.std]).half().cpu())
        with replacing(path) as temporary:
            save_file({"latents": torch.cat(parts, dim=1)}, temporary)
    return load_file(path)["latents"]


def _load(kind: type[Any], folder: Path) -> Any | None:
    return kind.from_pretrained(folder).float() if folder.exists() else None


def _autoencoder(folder: Path) -> AutoencoderKL:
    return _load(AutoencoderKL, folder / "vae") or build_autoencoder()


def _towers(folder: Path, tokenizer: CLIPTokenizer) -> CLIPModel:
    towers = build_towers(tokenizer)
    if (folder / "text_encoder").exists():
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        picture = CLIPVisionModelWithProjection.from_pretrained(
            folder / "image_encoder", dtype=torch.float32
        )
        rest = load_file(folder / "text_projection.safetensors")
        towers.text_model.load_state_dict(text.state_dict())
        towers.vision_model.load_state_dict(picture.vision_model.state_dict())
        towers.visual_projection.load_state_dict(picture.visual_projection.state_dict())
        towers.text_projection.weight.data.copy_(rest["text_projection.weight"])
        towers.logit_scale.data.copy_(rest["logit_scale"])
    return towers


def _save_towers(towers: CLIPModel, folder: Path) -> None:
    text = CLIPTextModel(towers.config.text_config)
    text.load_state_dict(towers.text_model.state_dict())
    picture = CLIPVisionModelWithProjection(towers.config.vision_config)
    picture.vision_model.load_state_dict(towers.vision_model.state_dict())
    picture.visual_projection.load_state_dict(towers.visual_projection.state_dict())
    text.half().save_pretrained(folder / "text_encoder")
    picture.half().save_pretrained(folder / "image_encoder")
    rest = {
        "text_projection.weight": towers.text_projection.weight.detach().half().contiguous(),
        "logit_scale": towers.logit_scale.detach().half(),
    }
    with replacing(folder / "text_projection.safetensors") as temporary:
        save_file(rest, temporary)


def _save_half(module: Any, folder: Path) -> None:
    # Not by from_config: it drops a setting that the model was first built without.
    deepcopy(module).half().save_pretrained(folder, max_shard_size="14500KB")
