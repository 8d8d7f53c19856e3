"""The rows of a step: which latents, timestep and noise, as a function of the seed alone.

Nothing here depends on the number of workers or on what ran before, so any number of workers and
any interruption see the same rows.

Rows are dealt to the subjects like cards, in turn and on from step to step. With k subjects and n
rows of a kind in each step,

    subject(step, row) = (step n + row) mod k

so a subject's rows of a kind differ by at most one from another's in every step, and are as many
after every k steps, however many pictures each subject has.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdcore.training.config import TrainingConfig

__all__ = ["RowDraw", "rows_of_step", "rows_of_worker", "rows_per_worker"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDraw:
    """One row of a step.

    Attributes:
        is_target: Target row, or regularization row.
        subject: Index of the subject that it teaches, or whose class it keeps.
        sample: Index among the subject's cached latents of its kind.
        timestep: In [0, T).
        noise_seed: The seed of the posterior sample and of the noise.
        weight: Factor on its loss, divided by the rows of the step; 0 for padding.
        is_padding: Whether it only fills up a worker's share.
    """

    is_target: bool
    subject: int
    sample: int
    timestep: int
    noise_seed: int
    weight: float
    is_padding: bool = False


def rows_of_step(
    config: TrainingConfig, step: int, *, samples: Sequence[tuple[int, int]], timesteps: int
) -> list[RowDraw]:
    """Draw all rows of a step.

    Timesteps are spread evenly over the rows of a kind, with one random offset: each row's is
    uniform, and every step sees the whole range of noise.

    Args:
        config: The configuration of the run.
        step: From 0.
        samples: How many target and regularization latents each subject has.
        timesteps: T.

    Returns:
        Target rows, then regularization rows; ``config.rows_per_step`` in all.
    """
    rows = []
    for is_target, count in ((True, config.target_rows), (False, config.regularization_rows)):
        offset = random.Random(f"{config.seed}/{step}/{is_target}/offset").random()
        weight = config.target_weight if is_target else config.prior_weight
        for row in range(count):
            rng = random.Random(f"{config.seed}/{step}/{is_target}/{row}")
            time = (offset + row / count) % 1.0
            subject = (step * count + row) % len(config.subjects)
            rows.append(
                RowDraw(
                    is_target=is_target,
                    subject=subject,
                    sample=rng.randrange(samples[subject][0 if is_target else 1]),
                    timestep=min(int(time * timesteps), timesteps - 1),
                    noise_seed=rng.getrandbits(63),
                    weight=weight / config.rows_per_step,
                )
            )
    return rows


def rows_of_worker(rows: list[RowDraw], worker: int, workers: int) -> list[RowDraw]:
    """Return one worker's share of a step, padded with weightless rows to the same length for all.

    Args:
        rows: The rows of the step, at least ``workers``.
        worker: In [0, workers).
        workers: At least 1.
    """
    share = rows[worker::workers]
    if len(share) < rows_per_worker(len(rows), workers):
        share.append(replace(share[-1], weight=0.0, is_padding=True))
    return share


def rows_per_worker(rows: int, workers: int) -> int:
    """Return the rows of each worker's share of a step, padding included."""
    return -(-rows // workers)
