"""Trials on disk that nobody has trained."""

from collections.abc import Mapping
from typing import Any

from tune.plan.folder import Status, SweepFolder


def scores(image: float, text: float = 0.5, drift: float = 0.1) -> dict[str, float]:
    return {
        "image_alignment": image,
        "text_alignment": text,
        "prior_drift": drift,
        "base_image_alignment": 0.25,
        "base_text_alignment": 0.5,
    }


def write_trial(
    folder: SweepFolder,
    number: int,
    settings: Mapping[str, Any],
    history: Mapping[int, Mapping[str, float]],
    status: Status = "finished",
    error: str = "",
) -> None:
    """Leave what a trial leaves, but for its concept and its pictures."""
    trial = folder.trial(number)
    trial.begin(settings)
    for step, found in history.items():
        trial.run.append_scores(step, found)
    if status == "finished":
        trial.run.write_summary({"status": "finished"})
    if status != "open":
        trial.end(status, error)
