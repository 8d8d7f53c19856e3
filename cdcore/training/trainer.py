"""Training a concept: the frozen base outside, one small module of parameters in an engine."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from cdcore.concepts.concept import Concept
from cdcore.errors import RunError
from cdcore.model.base import Base
from cdcore.model.update import Update, update_of_tensors
from cdcore.training.config import TrainingConfig
from cdcore.training.engine import ConceptParameters, Engine, LocalEngine
from cdcore.training.latent_cache import LatentCache, LatentRows
from cdcore.training.loss import row_losses
from cdcore.training.row_schedule import RowDraw, rows_of_step, rows_of_worker

__all__ = ["StepMetrics", "Trainer", "TrainingData", "train_alone", "trained_concept"]

_CAPTIONS_PER_CALL = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """Cached latents of one subject's pictures and of its class.

    Attributes:
        target: Of its pictures.
        regularization: Of the pictures of its class; None where the ratio is 0.
        captions: The prompt of each picture of the class; empty where the base has drawn them all
            from the class prompt.
    """

    target: LatentCache
    regularization: LatentCache | None
    captions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepMetrics:
    """Figures of one completed step.

    Attributes:
        step: Completed steps.
        loss: What was minimised.
        target_loss: Mean over target rows, unweighted.
        prior_loss: Mean over regularization rows, unweighted; None without them.
        seconds: Wall time of the step.
    """

    step: int
    loss: float
    target_loss: float
    prior_loss: float | None
    seconds: float


class Trainer:
    """One worker's part in training one concept."""

    def __init__(
        self,
        base: Base,
        config: TrainingConfig,
        data: Sequence[TrainingData],
        parameters: ConceptParameters,
        engine: Engine,
    ) -> None:
        """Bring together what a step needs.

        Args:
            base: The frozen base on this worker's device.
            config: The configuration of the run.
            data: Cached latents of each subject, the same on every worker.
            parameters: On this worker's device; the engine drives the same ones.
            engine: Sums over the workers of the default process group, when there is one.
        """
        self._base = base
        self._config = config
        self._data = data
        self._parameters = parameters
        self._engine = engine
        self._worker, self._workers = 0, 1
        if dist.is_initialized():
            self._worker, self._workers = dist.get_rank(), dist.get_world_size()
        captions = dict.fromkeys(caption for one in data for caption in one.captions)
        class_prompts = [subject.class_prompt for subject in config.subjects]
        self._plain_features, self._plain_pooled = _encoded(base, class_prompts, list(captions))
        places = enumerate(captions, start=len(class_prompts))
        self._caption_places = {caption: place for place, caption in places}

    def run(self, start: int, on_step: Callable[[StepMetrics], None]) -> None:
        """Train from step ``start`` to the end of the configuration.

        Args:
            start: Completed steps.
            on_step: Called after every completed step, on every worker.

        Raises:
            RunError: The loss is no longer a finite number.
        """
        for step in range(start, self._config.steps):
            started = time.monotonic()
            sums = self._step(step)
            on_step(self._metrics(step, sums, time.monotonic() - started))

    def _step(self, step: int) -> Tensor:
        rows = rows_of_worker(self._draw(step), self._worker, self._workers)
        batch = self._gather(rows)
        losses = self._losses(rows, batch)
        weights = torch.tensor([row.weight for row in rows], device=losses.device)
        loss = (losses * weights).sum()
        self._engine.backward(loss)
        self._engine.step()
        return self._reduced_sums(rows, losses.detach(), loss.detach())

    def _draw(self, step: int) -> list[RowDraw]:
        return rows_of_step(
            self._config,
            step,
            samples=[(len(data.target), len(data.regularization or ())) for data in self._data],
            timesteps=len(self._base.noise_schedule.alphas_cumprod),
        )

    def _gather(self, rows: Sequence[RowDraw]) -> LatentRows:
        """Collect the cached latents of rows, in their order."""
        parts = []
        for row in rows:
            data = self._data[row.subject]
            cache = data.target if row.is_target else data.regularization
            assert cache is not None
            parts.append(cache.gather([row.sample]))
        return LatentRows(
            mean=torch.cat([part.mean for part in parts]),
            std=torch.cat([part.std for part in parts]),
            valid_mask=torch.cat([part.valid_mask for part in parts]),
            prefixes=tuple(prefix for part in parts for prefix in part.prefixes),
            pictures=tuple(picture for part in parts for picture in part.pictures),
        )

    def _losses(self, rows: Sequence[RowDraw], batch: LatentRows) -> Tensor:
        base, device = self._base, self._base.device
        drawn = torch.stack([_noise(row, batch.mean.shape[1:]) for row in rows], dim=1)
        latents = batch.sample(drawn[0], base.autoencoder.config.scaling_factor).to(device)
        noise = drawn[1].to(device)
        timesteps = torch.tensor([row.timestep for row in rows], device=device)
        features, pooled = self._features(rows, batch)
        text_kv = base.seam.project(
            features,
            self._parameters.current_update(base.seam.layout),
            pooled=base.pooled_with_sizes(pooled),
            first_token_gradient=False,
        )
        prediction = base.seam.predict(
            base.noise_schedule.add_noise(latents, noise, timesteps), timesteps, text_kv
        )
        target = base.noise_schedule.target(latents, noise, timesteps)
        return row_losses(prediction, target, batch.valid_mask.to(device))

    def _features(self, rows: Sequence[RowDraw], batch: LatentRows) -> tuple[Tensor, Tensor | None]:
        """Encode each distinct target prompt once; the features of others never change."""
        wanted = [
            (row.subject, prefix) if row.is_target else self._plain_place(row.subject, picture)
            for row, prefix, picture in zip(rows, batch.prefixes, batch.pictures, strict=True)
        ]
        plain = sorted({one for one in wanted if isinstance(one, int)})
        targets = sorted({one for one in wanted if isinstance(one, tuple)})
        parts = [self._plain_features[plain]]
        pooled = None if self._plain_pooled is None else [self._plain_pooled[plain]]
        if targets:
            subjects = self._config.subjects
            prompts = [prefix + subjects[subject].instance_prompt for subject, prefix in targets]
            tokens = _named(self._config, self._parameters.tokens)
            features, pooled_targets = self._base.text_encoder.read(prompts, tokens)
            parts.append(features)
            if pooled is not None and pooled_targets is not None:
                pooled.append(pooled_targets)
        place = {one: index for index, one in enumerate([*plain, *targets])}
        places = torch.tensor([place[one] for one in wanted], device=self._base.device)
        return torch.cat(parts)[places], None if pooled is None else torch.cat(pooled)[places]

    def _plain_place(self, subject: int, picture: int) -> int:
        """Return where the features of a regularization picture's prompt are."""
        captions = self._data[subject].captions
        return self._caption_places[captions[picture]] if captions else subject

    def _reduced_sums(self, rows: Sequence[RowDraw], losses: Tensor, loss: Tensor) -> Tensor:
        """Return [loss, sum over target rows, sum over regularization rows] over all workers."""
        kinds = torch.tensor(
            [
                [not row.is_padding and row.is_target, not row.is_padding and not row.is_target]
                for row in rows
            ],
            device=losses.device,
            dtype=losses.dtype,
        )
        sums = torch.cat([loss[None], losses @ kinds])
        if self._workers > 1:
            dist.all_reduce(sums)
        return sums

    def _metrics(self, step: int, sums: Tensor, seconds: float) -> StepMetrics:
        loss, target, prior = sums.tolist()
        if not math.isfinite(loss):
            raise RunError(
                f"the loss of step {step + 1} is {loss}: training has diverged; start again with a "
                f"learning_rate below {self._config.learning_rate}"
            )
        rows = self._config.regularization_rows
        return StepMetrics(
            step=step + 1,
            loss=loss,
            target_loss=target / self._config.target_rows,
            prior_loss=prior / rows if rows else None,
            seconds=seconds,
        )


def train_alone(
    base: Base,
    config: TrainingConfig,
    data: Sequence[TrainingData],
    on_step: Callable[[StepMetrics], None] = lambda _: None,
) -> Concept:
    """Train a whole concept in this process.

    Args:
        base: The frozen base.
        config: What to train, and how.
        data: Cached latents of each subject.
        on_step: Called after every completed step.

    Returns:
        The concept, on the CPU.

    Raises:
        RunError: The loss is no longer a finite number.
        TokenError: The tokenizer cannot use an initializer token.
    """
    parameters = ConceptParameters.initial(base, config).to(base.device)
    engine = LocalEngine(parameters, config.learning_rate)
    Trainer(base, config, data, parameters, engine).run(0, on_step)
    return trained_concept(base, config, parameters)


def trained_concept(base: Base, config: TrainingConfig, parameters: ConceptParameters) -> Concept:
    """Return the concept that the parameters are, on the CPU."""
    return Concept(
        name=config.name,
        update=_detached(parameters.current_update(base.seam.layout)),
        tokens=_named(config, parameters.tokens.detach().cpu()),
        subjects=tuple(subject.plain for subject in config.subjects),
        base_name=base.name,
        base_fingerprint=base.fingerprint,
    )


@torch.no_grad()
def _encoded(
    base: Base, class_prompts: Sequence[str], captions: Sequence[str]
) -> tuple[Tensor, Tensor | None]:
    """Return features (prompts, L, d) and pooled texts of prompts without modifier tokens."""
    starts = range(0, len(captions), _CAPTIONS_PER_CALL)
    calls = [class_prompts, *(captions[start : start + _CAPTIONS_PER_CALL] for start in starts)]
    read = [base.text_encoder.read(prompts) for prompts in calls]
    pooled = [text for _, text in read if text is not None]
    return torch.cat([features for features, _ in read]), torch.cat(pooled) if pooled else None


def _detached(update: Update) -> Update:
    """Return a copy of the update's values on the CPU, which nothing trains."""
    return update_of_tensors({name: part.detach().cpu() for name, part in update.tensors().items()})


def _named(config: TrainingConfig, rows: Tensor) -> dict[str, Tensor]:
    """Give the token rows (n, d) their names."""
    names = [subject.token for subject in config.subjects if subject.token is not None]
    return dict(zip(names, rows, strict=True))


def _noise(row: RowDraw, shape: Sequence[int]) -> Tensor:
    """Draw the posterior's noise and the noise to predict, (2, C, h, w)."""
    generator = torch.Generator().manual_seed(row.noise_seed)
    return torch.randn((2, *shape), generator=generator)
