"""Loss curves of a run, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cdcore.files import replacing

__all__ = ["plot_curves"]

_CURVES = (
    ("target_loss", "concept's pictures", "#0b6e99"),
    ("prior_loss", "regularization pictures", "#d9730d"),
)
_SPAN_SHARE = 0.1
"""Steps that a smoothed value looks back over, as a share of the run."""
_SHOWN_PERCENTILE = 99
"""A few steps at hard timesteps would otherwise press the curves flat."""


def plot_curves(metrics: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the losses of a run: every step faint, their moving average strong.

    Args:
        metrics: One mapping per step with ``step``, ``target_loss`` and ``prior_loss``; a loss may
            be missing or None.
        path: The path of the PNG, written in one durable step.

    Raises:
        OSError: The file cannot be written.
    """
    # No pyplot: it keeps figures in a global list and may look for a screen.
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shown = [
        losses
        for key, label, color in _CURVES
        if (losses := _draw(axes, metrics, key, label, color)).size
    ]
    if shown:
        top = float(np.percentile(np.concatenate(shown), _SHOWN_PERCENTILE))
        axes.set_ylim(0, 1.1 * top or 1)
        axes.legend(frameon=False, loc="upper right")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (mean squared error)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(
    axes: Axes, metrics: Sequence[Mapping[str, Any]], key: str, label: str, color: str
) -> npt.NDArray[np.float64]:
    """Draw one loss and return its finite values (N,)."""
    points = [(line["step"], line[key]) for line in metrics if line.get(key) is not None]
    steps, losses = np.array(points, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(losses)
    steps, losses = steps[finite], losses[finite]
    if losses.size:
        # A line of one point would be invisible.
        marker = "o" if losses.size == 1 else None
        axes.plot(steps, losses, color=color, alpha=0.25, linewidth=0.8)
        axes.plot(steps, _smoothed(losses), color=color, linewidth=2, marker=marker, label=label)
    return losses


def _smoothed(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the exponential moving average of losses (N,), each divided by its weights' sum."""
    keep = 1 - 1 / max(1.0, _SPAN_SHARE * losses.size)
    averages = np.empty_like(losses)
    total = weight = 0.0
    for index, loss in enumerate(losses):
        total, weight = keep * total + loss, keep * weight + 1
        averages[index] = total / weight
    return averages
