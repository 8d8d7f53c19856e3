"""The first step of this project's trainer, up to its gradients."""

from contextlib import suppress

from torch import Tensor

from cdcore.model.base import Base
from cdcore.training.config import TrainingConfig
from cdcore.training.engine import ConceptParameters
from cdcore.training.trainer import Trainer, TrainingData

__all__ = ["FirstStep"]


class FirstStep:
    """One forward and backward pass of a run, by the trainer itself.

    Attributes:
        loss: The loss of the step, once it has run; without values on the ``meta`` device.
    """

    def __init__(
        self,
        base: Base,
        config: TrainingConfig,
        data: TrainingData,
        parameters: ConceptParameters,
    ) -> None:
        """Assemble a run; the gradients go to ``parameters``."""
        self._trainer = Trainer(base, config, [data], parameters, self)
        self.loss: Tensor | None = None

    def run(self) -> None:
        """Run the step."""
        with suppress(_DoneError):
            self._trainer.run(0, lambda _: None)

    def backward(self, loss: Tensor) -> None:
        """Stand in for the trainer's engine: keep the loss and compute the gradients."""
        self.loss = loss.detach()
        loss.backward()

    def step(self) -> None:
        """End the run where an engine would update: what follows reads the loss."""
        raise _DoneError


class _DoneError(Exception):
    """The gradients are there."""
