"""DeepSpeed drives the optimiser and sums gradients, over one small module of parameters.

The loss goes through the frozen base outside the engine, so ZeRO never sees the base.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import deepspeed
import torch
from torch import Tensor
from torch import distributed as dist

from cdcore.training.engine import MAX_GRADIENT_NORM, ConceptParameters

__all__ = ["DeepSpeedEngine"]

_TAG = "engine"
_PROBE_BYTES = 2**20


class DeepSpeedEngine:
    """AdamW under ZeRO 0, 1 or 2, in float32."""

    def __init__(
        self, parameters: ConceptParameters, learning_rate: float, *, zero_stage: int
    ) -> None:
        """Wrap ``parameters``, which are on this worker's device; needs a process group."""
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        # Otherwise a first run on a CPU compiles a communication kernel for a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        optimizer = torch.optim.AdamW(parameters.parameters(), lr=learning_rate)
        self._engine: Any
        self._engine, *_ = deepspeed.initialize(
            model=parameters,
            optimizer=optimizer,
            config={
                "train_micro_batch_size_per_gpu": 1,
                "gradient_accumulation_steps": 1,
                "gradient_clipping": MAX_GRADIENT_NORM,
                "zero_optimization": {"stage": zero_stage},
                "zero_allow_untested_optimizer": True,
                "steps_per_print": 2**31,
                "wall_clock_breakdown": False,
            },
            dist_init_required=False,
        )
        self._workers = dist.get_world_size()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of this worker's share; DeepSpeed's averaging is undone.

        Once for each step: under ZeRO 1 and 2 a second call would replace the first one's.
        """
        self._engine.backward(loss * self._workers)

    def step(self) -> None:
        """Sum over the workers, clip, update, clear."""
        self._engine.step()

    def save(self, folder: Path) -> None:
        """Write this worker's part of the state; every worker must call it.

        Raises:
            OSError: The folder cannot be written.
        """
        try:
            self._engine.save_checkpoint(str(folder), tag=_TAG)
        except RuntimeError:
            # torch says of a full disk only that its writer has failed.
            _check_space(folder)
            raise

    def load(self, folder: Path) -> None:
        """Read back what `save` wrote, with as many workers; every worker must call it."""
        self._engine.load_checkpoint(str(folder), tag=_TAG)


def _check_space(folder: Path) -> None:
    """Write as much as a full disk could not take.

    Raises:
        OSError: Why it cannot be written.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
