import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rayjobs.runs.loss_curves import plot_curves


def _metrics(steps: int, prior: float | None = 0.2) -> list[dict[str, Any]]:
    return [
        {"step": step, "loss": 1.0, "target_loss": 1 / step, "prior_loss": prior}
        for step in range(1, steps + 1)
    ]


def _drawn(metrics: list[dict[str, Any]], tmp_path: Path) -> np.ndarray:
    path = tmp_path / "curves.png"
    plot_curves(metrics, path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def _has_color(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((np.abs(image - color).sum(-1) < 30).any())


BLUE, ORANGE = (0x0B, 0x6E, 0x99), (0xD9, 0x73, 0x0D)


def test_both_losses_are_drawn(tmp_path: Path) -> None:
    image = _drawn(_metrics(50), tmp_path)
    assert _has_color(image, BLUE)
    assert _has_color(image, ORANGE)
    assert (image[0, 0] == 255).all()


def test_a_run_without_regularization_has_one_curve(tmp_path: Path) -> None:
    image = _drawn(_metrics(50, prior=None), tmp_path)
    assert _has_color(image, BLUE)
    assert not _has_color(image, ORANGE)


def test_one_step_shows(tmp_path: Path) -> None:
    assert _has_color(_drawn(_metrics(1), tmp_path), BLUE)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_left_out(bad: float, tmp_path: Path) -> None:
    metrics = _metrics(20)
    metrics[3]["target_loss"] = bad
    assert _has_color(_drawn(metrics, tmp_path), BLUE)


def test_no_steps_give_an_empty_chart(tmp_path: Path) -> None:
    image = _drawn([], tmp_path)
    assert not _has_color(image, BLUE)


def test_drawing_leaves_only_the_picture_and_no_global_state(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from rayjobs.runs.loss_curves import plot_curves\n"
        "plot_curves([{'step': 1, 'target_loss': 1.0}], Path(sys.argv[1]))\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    path = tmp_path / "curves.png"
    done = subprocess.run([sys.executable, "-c", script, path], check=False, timeout=120)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == [path]
