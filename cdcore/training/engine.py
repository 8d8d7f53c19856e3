"""What trains, and what drives it: the parameters of a concept and their optimiser."""

from typing import Protocol

import torch
from torch import Tensor, nn

from cdcore.model.base import Base
from cdcore.training.config import TrainingConfig

__all__ = ["ConceptParameters", "Engine", "LocalEngine"]

MAX_GRADIENT_NORM = 1.0
"""Over all parameters of a concept."""


class ConceptParameters(nn.Module):
    """All that trains: the update and the rows of the modifier tokens, in float32."""

    def __init__(self, update: Tensor, tokens: Tensor) -> None:
        """Start from an update (D, d) and token rows (n, d); n may be 0."""
        super().__init__()
        self.update = nn.Parameter(update)
        self.tokens = nn.Parameter(tokens)

    @classmethod
    def initial(cls, base: Base, config: TrainingConfig) -> "ConceptParameters":
        """Start from no update and the rows of the initializer tokens.

        Raises:
            TokenError: The tokenizer cannot use an initializer token.
        """
        rows = [
            base.text_encoder.initial_embedding(subject.initializer_token).cpu()
            for subject in config.subjects
            if subject.token is not None
        ]
        width = base.seam.layout.text_width
        return cls(
            torch.zeros(base.seam.layout.shape),
            torch.stack(rows) if rows else torch.zeros(0, width),
        )


class Engine(Protocol):
    """Drives the optimiser over the parameters, and sums gradients over the workers."""

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of this worker's share of the loss; once for each step."""

    def step(self) -> None:
        """Update the parameters and clear the gradients."""


class LocalEngine:
    """AdamW in one process."""

    def __init__(self, parameters: ConceptParameters, learning_rate: float) -> None:
        self._parameters = list(parameters.parameters())
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate)

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        loss.backward()

    def step(self) -> None:
        """Clip, update, clear."""
        nn.utils.clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
