"""This project's trainer as a recipe that goes on for as many steps as it is told."""

import os
from dataclasses import replace
from typing import Literal

import torch
from torch import distributed as dist
from torch import nn

from cdcore.concepts.concept import Concept
from cdcore.model.base import Base
from cdcore.training.config import TrainingConfig
from cdcore.training.engine import ConceptParameters, Engine, LocalEngine
from cdcore.training.trainer import Trainer, TrainingData, trained_concept

__all__ = ["EngineName", "OurRecipe"]

EngineName = Literal["deepspeed", "local"]
"""``deepspeed`` is what the job uses; ``local`` is plain AdamW, for where DeepSpeed is not."""


class OurRecipe:
    """The trainer of this project in one process."""

    def __init__(
        self, base: Base, config: TrainingConfig, data: TrainingData, engine: EngineName
    ) -> None:
        """Start a concept.

        Args:
            base: The base on its device.
            config: The configuration for one subject; its number of steps does not matter.
            data: What was prepared before.
            engine: What drives the optimiser.
        """
        self._base, self._config, self._data = base, config, data
        self._parameters = ConceptParameters.initial(base, config).to(base.device)
        self._engine = _engine(engine, self._parameters, config.learning_rate)
        self._done = 0

    @property
    def trained(self) -> list[nn.Parameter]:
        """What the optimiser holds, and several workers would reduce."""
        return list(self._parameters.parameters())

    def advance(self, steps: int) -> None:
        """Do that many more steps."""
        config = replace(self._config, steps=self._done + steps)
        trainer = Trainer(self._base, config, [self._data], self._parameters, self._engine)
        trainer.run(self._done, lambda _: None)
        self._done = config.steps

    def concept(self) -> Concept:
        """Return what has been trained so far, on the CPU."""
        return trained_concept(self._base, self._config, self._parameters)


def _engine(name: EngineName, parameters: ConceptParameters, learning_rate: float) -> Engine:
    if name == "local":
        return LocalEngine(parameters, learning_rate)
    # Not at the top: it takes seconds.
    from rayjobs.training.deepspeed_engine import DeepSpeedEngine

    # Its launcher, which there is none of here, would say so.
    os.environ.setdefault("LOCAL_RANK", "0")
    if not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    return DeepSpeedEngine(parameters, learning_rate, zero_stage=0)
