"""The stock recipe: Custom Diffusion as diffusers users train it, to measure this project against.

It is built on diffusers' own ``CustomDiffusionAttnProcessor2_0`` and does in each step what that
library's example does: draw and encode the pictures, encode every prompt, run the U-Net, compute
the masked loss over four latent channels, zero the gradients of all token rows but one, clip, and
let AdamW step over the keys and values and the whole token table.

Where it could be weaker than it must be it is not: the pictures stay decoded in memory, a batch is
drawn while the one before is trained on (the example has worker processes for that), and its
augmentation is the one of this project, which never squashes a picture.

B rows of a step, S pixels, L prompt tokens.
"""

import copy
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import CustomDiffusionAttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional

from cdcore.concepts.concept import Concept
from cdcore.model.base import Base
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import DenseUpdate
from cdcore.pictures.augmentation import Variant, apply_variant, draw_variant, plain_variant
from cdcore.pictures.picture_folder import Picture
from cdcore.training.config import TrainingConfig

__all__ = ["StockBatch", "StockRecipe", "install_processors"]

_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StockBatch:
    """What one step reads: target rows, then regularization rows.

    Attributes:
        pixels: (B, 3, S, S) float32 in [-1, 1].
        valid_mask: (B / 2, 1, h, w) of the target rows.
        ids: (B, L) int64.
    """

    pixels: Tensor
    valid_mask: Tensor
    ids: Tensor


class StockRecipe:
    """The stock recipe on one device; it takes its base over and changes it."""

    def __init__(
        self,
        base: Base,
        config: TrainingConfig,
        pictures: Sequence[Picture],
        regularization: Sequence[Picture],
    ) -> None:
        """Prepare a base for training.

        Args:
            base: A base of the recipe's own; it is no base any more afterwards.
            config: Of one subject with a modifier token and as many regularization as target rows;
                the prior weight and the learning rate mean what they mean in the recipe.
            pictures: The pictures of the subject.
            regularization: The pictures of its class.
        """
        self._base, self._config = base, config
        self._pictures, self._regularization = pictures, regularization
        (self._subject,) = config.subjects
        assert self._subject.token is not None
        assert config.target_rows == config.regularization_rows
        self._rng = random.Random(f"stock/{config.seed}")
        self._generator = None
        if base.device.type != "meta":
            self._generator = torch.Generator(base.device).manual_seed(config.seed)
        self._start = base.seam.stack.clone()
        self._layers = install_processors(base.seam.unet)
        # The example computes all of its models in half precision.
        base.autoencoder.to(base.seam.dtype)
        base.text_encoder.model.to(base.seam.dtype)
        self._add_token(self._subject.token)
        # The example's settings; its weight decay reaches every row of the table.
        self._optimizer = torch.optim.AdamW(
            [self._table, *self._layers.parameters()], lr=config.learning_rate
        )

    @property
    def trained(self) -> list[nn.Parameter]:
        """What the optimiser holds, and several workers would reduce: layers and token table."""
        return [self._table, *self._layers.parameters()]

    def advance(self, steps: int) -> None:
        """Do that many more steps; a batch is drawn while the one before is trained on."""
        with ThreadPoolExecutor(1) as loader:
            following = loader.submit(self.draw)
            for remaining in reversed(range(steps)):
                batch = following.result()
                if remaining:
                    following = loader.submit(self.draw)
                self.step(batch)

    def step(self, batch: StockBatch) -> float:
        """Do one step on a batch and return its loss."""
        loss = self.loss(batch)
        loss.backward()
        table_gradient = self._table.grad
        assert table_gradient is not None
        others = torch.arange(len(table_gradient), device=table_gradient.device) != self._token_id
        table_gradient[others] = 0
        nn.utils.clip_grad_norm_(self.trained, _MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def draw(self) -> StockBatch:
        """Draw the pictures and prompts of a step, on the CPU."""
        config, subject, profile = self._config, self._subject, self._base.profile
        shown: list[tuple[Picture, Variant, str]] = []
        for _ in range(config.target_rows):
            variant = draw_variant(
                profile.resolution, self._rng, augment=config.augment, flip=config.flip
            )
            prompt = variant.prefix + subject.instance_prompt
            shown.append((self._rng.choice(self._pictures), variant, prompt))
        for _ in range(config.regularization_rows):
            flip = config.flip and self._rng.random() < 0.5
            variant = plain_variant(profile.resolution, flip=flip)
            shown.append((self._rng.choice(self._regularization), variant, subject.class_prompt))
        made = [
            apply_variant(picture.image, variant, profile.resolution, self._base.latent_factor)
            for picture, variant, _ in shown
        ]
        tokenized = self._tokenizer(
            [prompt for _, _, prompt in shown],
            truncation=True,
            padding="max_length",
            return_tensors="pt",
        )
        return StockBatch(
            pixels=torch.stack([pixels for pixels, _ in made]),
            valid_mask=torch.stack([mask for _, mask in made[: config.target_rows]]),
            ids=tokenized.input_ids,
        )

    def loss(self, batch: StockBatch) -> Tensor:
        """Return the loss of a batch: autoencoder, text encoder and U-Net, all in the step."""
        base = self._base
        with torch.no_grad():
            pixels = batch.pixels.to(base.device, base.seam.dtype)
            posterior = base.autoencoder.encode(pixels).latent_dist
            latents = posterior.mean + posterior.std * self._noise(posterior.mean)
            latents = (latents * base.autoencoder.config.scaling_factor).float()
        noise = self._noise(latents)
        timesteps = torch.randint(
            len(base.noise_schedule.alphas_cumprod),
            (len(latents),),
            device=base.device,
            generator=self._generator,
        )
        features = base.text_encoder.model(input_ids=batch.ids.to(base.device)).last_hidden_state
        noisy = base.noise_schedule.add_noise(latents, noise, timesteps)
        predicted = base.seam.unet(noisy.to(base.seam.dtype), timesteps, features).sample
        wanted = base.noise_schedule.target(latents, noise, timesteps)
        return self._weighted(predicted.float(), wanted, batch.valid_mask.to(base.device))

    def concept(self) -> Concept:
        """Return what has been trained so far, on the CPU in float32."""
        weights = [weight.detach().float().cpu() for weight in self._layers.parameters()]
        token = self._subject.token
        assert token is not None
        return Concept(
            name=self._config.name,
            update=DenseUpdate(torch.cat(weights) - self._start.float().cpu()),
            tokens={token: self._table[self._token_id].detach().float().cpu()},
            subjects=(self._subject.plain,),
            base_name=self._base.name,
            base_fingerprint=self._base.fingerprint,
        )

    def _add_token(self, token: str) -> None:
        encoder = self._base.text_encoder
        # The base's own may be shared with another base.
        self._tokenizer = copy.deepcopy(encoder.tokenizer)
        self._tokenizer.add_tokens(token)
        self._token_id: int = self._tokenizer.convert_tokens_to_ids(token)
        (*_, initial) = encoder.word_ids(self._subject.initializer_token)
        rows = max(len(encoder.embedding_table), self._token_id + 1)
        encoder.model.resize_token_embeddings(rows, mean_resizing=False)
        self._table: nn.Parameter = encoder.model.get_input_embeddings().weight
        with torch.no_grad():
            self._table[self._token_id] = self._table[initial]
        self._table.requires_grad_(True)

    def _weighted(self, predicted: Tensor, wanted: Tensor, valid_mask: Tensor) -> Tensor:
        predicted, predicted_prior = predicted.chunk(2)
        wanted, wanted_prior = wanted.chunk(2)
        error = (predicted - wanted).square() * valid_mask
        # A sum over four channels by a mask of one: the recipe's target rows count four times.
        target = (error.sum(dim=(1, 2, 3)) / valid_mask.sum(dim=(1, 2, 3))).mean()
        prior = functional.mse_loss(predicted_prior, wanted_prior)
        return target + self._config.prior_weight * prior

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(
            like.shape, generator=self._generator, device=like.device, dtype=like.dtype
        )


def install_processors(unet: Any) -> nn.ModuleList:
    """Give a U-Net diffusers' processors of the method, which start from its own weights.

    Returns:
        Those that train, in the order of the K/V stack: each holds a key and a value projection.
    """
    layout = KVLayout.of(unet)
    weights = layout.split(layout.stack(unet))
    trained = nn.ModuleList()
    processors: dict[str, nn.Module] = {}
    for name, module in unet.named_modules():
        if name.endswith(".attn1"):
            processors[f"{name}.processor"] = CustomDiffusionAttnProcessor2_0(
                train_kv=False, train_q_out=False
            )
        elif name.endswith(".attn2"):
            key, value = (weights[f"{name}.to_{part}.weight"] for part in "kv")
            # In float32 whatever the U-Net computes in, as in the example.
            processor = CustomDiffusionAttnProcessor2_0(
                train_q_out=False, hidden_size=len(key), cross_attention_dim=module.to_k.in_features
            ).to(key.device)
            processor.to_k_custom_diffusion.weight = nn.Parameter(key.float())
            processor.to_v_custom_diffusion.weight = nn.Parameter(value.float())
            processors[f"{name}.processor"] = processor
            trained.append(processor)
    unet.set_attn_processor(processors)
    return trained
