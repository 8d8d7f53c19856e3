"""The diffusers example script itself, on the same base and pictures: seconds per step.

It is started twice, for a few and for more steps, and the difference is divided: loading, saving
and its final sampling cancel out.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.training_case import TrainingCase
from cdcore.base import ALIASES, POCKET_FOLDER, Base
from cdcore.base_folder import base_folder
from cdcore.errors import ConfigError
from cdcore.pictures import Picture

__all__ = ["measure_peer_script"]

_TIMEOUT_S = 3600
_SHOWN = 300


def measure_peer_script(
    script: Path, case: TrainingCase, base: Base, steps: tuple[int, int]
) -> float:
    """Return the seconds per step of ``train_custom_diffusion.py``.

    Args:
        script: Of diffusers' ``examples/custom_diffusion``.
        case: What to train.
        base: Makes the regularization pictures.
        steps: Of the shorter and the longer run.

    Raises:
        ConfigError: There is no such file, torchvision is missing, or the script fails.
    """
    if not script.is_file():
        raise ConfigError(f"--peer-script {script}: no such file; give train_custom_diffusion.py")
    if importlib.util.find_spec("torchvision") is None:
        raise ConfigError("--peer-script needs torchvision; install the one of this torch")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "instance", case.pictures)
        _write(folder / "class", case.regularization(base))
        shorter, longer = (_seconds(_command(script, case, base, folder, n)) for n in steps)
    return (longer - shorter) / (steps[1] - steps[0])


def _write(folder: Path, pictures: Sequence[Picture]) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        picture.image.save(folder / f"{number:05d}.png")


def _command(script: Path, case: TrainingCase, base: Base, folder: Path, steps: int) -> list[str]:
    config = case.config
    (subject,) = config.subjects
    source = POCKET_FOLDER if case.base == "pocket" else ALIASES.get(case.base, case.base)
    options = {
        "pretrained_model_name_or_path": base_folder(str(source)),
        "instance_data_dir": folder / "instance",
        "class_data_dir": folder / "class",
        "instance_prompt": subject.instance_prompt,
        "class_prompt": subject.class_prompt,
        "modifier_token": subject.token,
        "initializer_token": subject.initializer_token,
        "num_class_images": config.regularization_images,
        "resolution": base.profile.resolution,
        "train_batch_size": config.target_rows,
        "learning_rate": config.learning_rate,
        "lr_warmup_steps": 0,
        "max_train_steps": steps,
        # Checkpoints are no part of a step.
        "checkpointing_steps": 10**9,
        "output_dir": folder / f"output-{steps}",
        "seed": config.seed,
        "mixed_precision": "bf16" if base.device.type == "cuda" else "no",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    switches = ["--with_prior_preservation", "--hflip", "--no_safe_serialization"]
    return [sys.executable, str(script), *flags, *switches]


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        (*_, last) = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ConfigError(f"--peer-script failed: {last[:_SHOWN]}")
    return time.perf_counter() - started
