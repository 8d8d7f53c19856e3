"""The diffusers example script itself, on the same base and pictures: seconds per step.

It is timed by its own progress bar, as that arrives, after its first steps: loading, saving and
its final sampling are no part of a step.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import diffusers
import torch

from benchmarks.recipes.case import TrainingCase
from cdcore.errors import ConfigError
from cdcore.model.base import Base
from cdcore.model.location import named_folder
from cdcore.pictures.picture_folder import Picture

__all__ = ["measure_peer_script"]

_TIMEOUT_S = 3600
_SHOWN = 300
_PROGRESS = re.compile(r"^Steps: .*\| (\d+)/\d+ \[")
_FIRST_STEPS = 2
"""Not timed."""

_PARTS = {
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "scheduler": ("diffusers", "DDPMScheduler"),
}
_NO_PARTS = ("safety_checker", "feature_extractor", "image_encoder")


def measure_peer_script(script: Path, case: TrainingCase, base: Base, *, steps: int) -> float:
    """Return the seconds per step of ``train_custom_diffusion.py``.

    Args:
        script: The script of diffusers' ``examples/custom_diffusion``.
        case: What to train.
        base: Makes the regularization pictures.
        steps: How many steps to train, at least 4.

    Raises:
        ConfigError: There is no such file, torchvision is missing, or the script fails.
    """
    if not script.is_file():
        raise ConfigError(f"--peer-script {script}: no such file; give train_custom_diffusion.py")
    if importlib.util.find_spec("torchvision") is None:
        raise ConfigError("--peer-script needs torchvision; install the one of this torch")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _link_base(case.base, folder / "base")
        _write(folder / "instance", case.pictures)
        _write(folder / "class", case.regularization(base))
        seen = _run(_command(script, case, base, folder, steps))
    timed = [(count, at) for count, at in seen if count >= _FIRST_STEPS]
    if len(timed) < 2:
        raise ConfigError(f"--peer-script {script}: it shows no progress bar that could be timed")
    (first, started), (last, ended) = timed[0], timed[-1]
    return (ended - started) / (last - first)


def _link_base(name: str, folder: Path) -> None:
    """Make the pipeline that the script wants of the parts that this project uses."""
    folder.mkdir()
    source = named_folder(name)
    for part in _PARTS:
        (folder / part).symlink_to(source.absolute() / part)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        **_PARTS,
        **dict.fromkeys(_NO_PARTS, (None, None)),
        "requires_safety_checker": False,
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def _write(folder: Path, pictures: Sequence[Picture]) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        picture.image.save(folder / f"{number:05d}.png")


def _command(script: Path, case: TrainingCase, base: Base, folder: Path, steps: int) -> list[str]:
    config = case.config
    (subject,) = config.subjects
    options = {
        "pretrained_model_name_or_path": folder / "base",
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
        "output_dir": folder / "output",
        "seed": config.seed,
        "mixed_precision": "bf16" if base.device.type == "cuda" else "no",
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    switches = ["--with_prior_preservation", "--hflip", "--no_safe_serialization"]
    return [sys.executable, str(script), *flags, *switches]


def _run(command: Sequence[str]) -> list[tuple[int, float]]:
    """Run the script and return when its progress bar has shown how many steps."""
    seen: list[tuple[int, float]] = []
    said = ["it said nothing"]
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(
        command, env=threads, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        watchdog = threading.Timer(_TIMEOUT_S, process.kill)
        watchdog.start()
        assert process.stderr is not None
        for line in _lines(process.stderr):
            progress = _PROGRESS.match(line)
            if progress is None:
                said.append(line)
            elif not seen or int(progress[1]) > seen[-1][0]:
                seen.append((int(progress[1]), time.perf_counter()))
        watchdog.cancel()
    if process.returncode:
        # Other lines may follow the traceback.
        named = [line for line in said if "Error" in line.split(":")[0]]
        raise ConfigError(f"--peer-script failed: {(named or said)[-1][:_SHOWN]}")
    return seen


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield lines as they arrive; a progress bar ends its own with a carriage return."""
    buffer = b""
    # Not `read`, which would wait for a full buffer.
    while chunk := stream.read1():  # type: ignore[attr-defined]
        *whole, buffer = re.split(rb"[\r\n]+", buffer + chunk)
        yield from (line.decode(errors="replace").strip() for line in whole)
        # The bar's newest state has no end yet.
        if buffer.startswith(b"Steps: ") and buffer.endswith(b"]"):
            yield buffer.decode(errors="replace")
    if buffer.strip():
        yield buffer.decode(errors="replace").strip()
