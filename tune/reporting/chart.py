"""A picture of a sweep: its scores against each other, and each setting against the goal.

The first panel has image alignment across and text alignment up, the drift as colour, the floor as
a line and the Pareto front in rings. The others have one searched setting each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from cdcore.files import replacing
from tune.plan.folder import TrialRecord
from tune.plan.goal import Goal
from tune.plan.ranking import front, ranked
from tune.plan.search_space import Dimension
from tune.reporting.trial_table import value_text

__all__ = ["plot_trials"]

_COLUMNS = 3
_TICKS = 5
_COLORS = "viridis_r"
_STOPPED = "#b0b0b0"
_BEST = "#d9480f"


def plot_trials(
    path: Path, records: Sequence[TrialRecord], space: Sequence[Dimension], goal: Goal
) -> None:
    """Draw the trials that have scores.

    Args:
        path: The path of the PNG, written in one durable step.
        records: The trials.
        space: What varied.
        goal: Whose bounds are drawn.

    Raises:
        OSError: The file cannot be written.
    """
    panels = 1 + len(space)
    columns = min(panels, _COLUMNS)
    rows = -(-panels // columns)
    # No pyplot: it keeps figures in a global list and may look for a screen.
    figure = Figure(figsize=(4.6 * columns, 3.8 * rows), dpi=110, layout="constrained")
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(panels)]
    scored = [record for record in records if record.scores]
    order = ranked(records, goal)
    shown = _scatter(axes[0], order, scored, records, goal)
    if shown is not None:
        figure.colorbar(shown, ax=axes[0], label="prior drift")
    for dimension, panel in zip(space, axes[1:], strict=True):
        _against(panel, dimension, scored, goal)
    if order:
        best = order[0]
        axes[0].annotate(
            f"best: {best.number}",
            (best.scores["image_alignment"], best.scores["text_alignment"]),
            textcoords="offset points",
            xytext=(6, 6),
            color=_BEST,
        )
    for panel in axes:
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _scatter(
    axes: Axes,
    order: Sequence[TrialRecord],
    scored: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    goal: Goal,
) -> Any:
    axes.set_xlabel("image alignment")
    axes.set_ylabel("text alignment")
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    if not scored:
        return None
    # Scores on the way are on fewer prompts, and so is what they say of the base.
    least = goal.least_text_alignment((order or scored)[0].scores)
    axes.axhline(least, color=_STOPPED, linestyle="--", linewidth=1)
    numbers = front(records)
    axes.set_title(
        "ringed: Pareto front of all three scores, crosses: not finished, dashed: text floor",
        fontsize="x-small",
        loc="left",
    )
    ringed = [one for one in scored if one.number in numbers]
    axes.scatter(
        [one.scores["image_alignment"] for one in ringed],
        [one.scores["text_alignment"] for one in ringed],
        facecolors="none",
        edgecolors=_BEST,
        s=120,
    )
    early = [record for record in scored if record.status != "finished"]
    axes.scatter(
        [one.scores["image_alignment"] for one in early],
        [one.scores["text_alignment"] for one in early],
        marker="x",
        color=_STOPPED,
    )
    done = [record for record in scored if record.status == "finished"]
    return axes.scatter(
        [one.scores["image_alignment"] for one in done],
        [one.scores["text_alignment"] for one in done],
        c=[one.scores["prior_drift"] for one in done],
        cmap=_COLORS,
        zorder=2,
    )


def _against(axes: Axes, dimension: Dimension, scored: Sequence[TrialRecord], goal: Goal) -> None:
    """Draw one setting against image alignment; those out of bounds are hollow."""
    axes.set_xlabel(dimension.field)
    axes.set_ylabel("image alignment")
    axes.set_title("hollow: out of bounds, grey: not finished", fontsize="small", loc="left")
    values = [record.settings.get(dimension.field) for record in scored]
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in values]
    if dimension.is_log:
        assert dimension.low is not None
        assert dimension.high is not None
        # The ticks of a logarithm would be too many or none within a decade or two.
        ticks = np.geomspace(dimension.low, dimension.high, 4)
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    elif all(numbers):
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    for record, value in zip(scored, values, strict=True):
        is_kept = goal.violation(record.scores) == 0
        color = "#0b6e99" if record.status == "finished" else _STOPPED
        shown: Any = value if all(numbers) else value_text(value)
        axes.scatter(
            [shown],
            [record.scores["image_alignment"]],
            facecolors=color if is_kept else "none",
            edgecolors=color,
        )
