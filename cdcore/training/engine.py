"""What trains, and what drives it: the parameters of a concept and their optimiser."""

from typing import Protocol

import torch
from torch import Tensor, nn

from cdcore.model.base import Base
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import DenseUpdate, FactoredUpdate, Update
from cdcore.training.config import TrainingConfig

__all__ = ["ConceptParameters", "Engine", "LocalEngine"]

MAX_GRADIENT_NORM = 1.0
"""Over all parameters of a concept."""


class ConceptParameters(nn.Module):
    """All that trains: the update, whole or as factors, and the rows of the tokens, in float32."""

    def __init__(self, update: Tensor, tokens: Tensor, right: Tensor | None = None) -> None:
        """Start from an update and token rows.

        Args:
            update: (D, d); or with ``right`` the left factors of all matrices, (D, r).
            tokens: (n, d); n may be 0.
            right: The right factor of each matrix, (matrices, r, d).
        """
        super().__init__()
        self.update = nn.Parameter(update)
        self.tokens = nn.Parameter(tokens)
        self.right = None if right is None else nn.Parameter(right)

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
        return cls.of_layout(
            base.seam.layout, config, torch.stack(rows) if rows else torch.zeros(0, width)
        )

    @classmethod
    def of_layout(
        cls, layout: KVLayout, config: TrainingConfig, tokens: Tensor
    ) -> "ConceptParameters":
        """Start from no update and these token rows (n, d), on the device of the rows.

        Of factors the left ones are zero and the right ones are drawn, with rows of length 1 on
        average, as in Hu et al. 2021 (arXiv 2106.09685), section 4.1.
        """
        device, rank = tokens.device, config.update_rank
        if not rank:
            return cls(torch.zeros(layout.shape, device=device), tokens)
        generator = torch.Generator().manual_seed(config.seed)
        shape = (len(layout.names), rank, layout.text_width)
        right = torch.randn(shape, generator=generator) / layout.text_width**0.5
        left = torch.zeros(layout.shape[0], rank, device=device)
        return cls(left, tokens, right.to(device))

    def current_update(self, layout: KVLayout) -> Update:
        """Return the update as it is now; gradients flow through it."""
        if self.right is None:
            return DenseUpdate(self.update)
        lefts = self.update.split(list(layout.widths))
        return FactoredUpdate(tuple(zip(lefts, self.right.unbind(), strict=True)))


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
