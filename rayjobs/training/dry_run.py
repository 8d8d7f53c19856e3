"""A dry run: what a training job would do and cost, printed without a cluster or a base's weights.

Nothing is written. The time is the counted work over a rate: the one that is given, or that of a
matrix product measured here, which no U-Net quite reaches.
"""

import time
from dataclasses import asdict
from typing import Any

import torch
import yaml
from rich.console import Console

from cdcore.formats.exports.tool_names import tools_named
from cdcore.model.base import Base
from cdcore.model.device import chosen_device, compute_dtype
from cdcore.model.meta_base import outline_base
from cdcore.pictures.picture_folder import read_pictures, split_holdout
from cdcore.training.config import TrainingConfig
from cdcore.training.cost_estimate import Estimate, estimate
from cdcore.training.row_schedule import rows_per_worker
from rayjobs.cli.unread_pictures import print_unread
from rayjobs.config.training import TrainJob, resolve
from rayjobs.runs.result_paths import absolute, base_name, registry_location, result_folder
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.brought_pictures import brought_pictures, print_notes_on_brought

__all__ = ["dry_run", "measured_rate"]

_SIDE = {"cuda": 8192, "cpu": 1024}
_LEAST_S = 0.3


def dry_run(job: TrainJob, console: Console) -> dict[str, Any]:
    """Print the resolved configuration of a job, and its memory, work and time.

    Returns:
        What was printed, for programs: ``settings``, ``estimate``, ``flops_per_second`` and the
        least ``seconds`` it will take.

    Raises:
        CustomDiffusionError: The job could not be started.
    """
    pictures = [
        len(split_holdout(read_pictures(absolute(source.images)), job.holdout)[0])
        for source in job.sources
    ]
    tools_named(job.export)
    device = torch.device(chosen_device())
    dtype = compute_dtype(device, job.precision)
    outline = outline_base(base_name(job.base), dtype=dtype).at(job.resolution)
    config = resolve(job, outline)
    regularization = brought_pictures(job, config, outline.profile.resolution)
    brought = [len(own) for own in regularization]
    settings = _settings(job, outline, config, pictures, brought)
    cost = estimate(
        outline,
        config,
        sum(pictures),
        brought=brought,
        workers=job.workers,
        zero_stage=job.zero_stage,
    )
    rate = job.tflops * 1e12 if job.tflops is not None else measured_rate(device, dtype)
    # What one worker does: preparation is the first one's, a step is shared.
    share = rows_per_worker(config.rows_per_step, job.workers) / config.rows_per_step
    seconds = (cost.training_flops * share + cost.preparation_flops) / rate
    console.print(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip())
    for line in _lines(cost, dtype, job.workers):
        console.print(line, soft_wrap=True)
    origin = "as given" if job.tflops is not None else f"a matrix product's on this {device.type}"
    console.print(
        f"time:    at least {_duration(seconds)} of computing at {rate / 1e12:.3g} TFLOP/s a "
        f"worker ({origin}); a U-Net reaches less, and the pictures at the end are not counted",
        soft_wrap=True,
    )
    print_unread((absolute(source.images) for source in job.sources), console)
    print_notes_on_brought(job, regularization, outline.text_encoder.unread, console)
    console.print("dry run: nothing was written", soft_wrap=True)
    return {
        "settings": settings,
        "estimate": asdict(cost),
        "flops_per_second": rate,
        "seconds": seconds,
    }


def measured_rate(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """Return the FLOPs per second of a square matrix product, the best of those tried.

    Args:
        device: Where to compute.
        dtype: The dtype of both matrices.
        side: Rows of a matrix; None for one that is large on the device.
    """
    side = side or _SIDE[device.type]
    # Of random numbers: a GPU multiplies ones faster than anything that a model holds.
    generator = torch.Generator(device).manual_seed(0)
    left = torch.randn(side, side, generator=generator, device=device).to(dtype)
    best_s, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < _LEAST_S or best_s == float("inf"):
        before = time.perf_counter()
        product = left @ left
        # Waits for the device.
        float(product[0, 0])
        best_s = min(best_s, time.perf_counter() - before)
    return 2.0 * side**3 / best_s


def _settings(
    job: TrainJob, base: Base, config: TrainingConfig, pictures: list[int], brought: list[int]
) -> dict[str, Any]:
    run = RunDirectory(result_folder(job.output, "--output") / job.name)
    described = asdict(config)
    described["subjects"] = [
        subject | {"pictures": count} | ({"captioned_pictures": own} if own else {})
        for subject, count, own in zip(described["subjects"], pictures, brought, strict=True)
    ]
    described |= {
        "base": base.name,
        "resolution": base.profile.resolution,
        **({} if job.vae is None else {"vae": base_name(job.vae)}),
        "workers": job.workers,
        "zero_stage": job.zero_stage,
        "checkpoint_every": job.checkpoint_every,
        "run": str(run.path),
        "run_status": run.read_summary().get("status", "new"),
        "cache": str(result_folder(job.cache, "--cache")),
    }
    if job.registry is not None:
        described["registry"] = registry_location(job.registry)
    return described


def _lines(cost: Estimate, dtype: torch.dtype, workers: int) -> list[str]:
    name = str(dtype).removeprefix("torch.")
    each = "" if workers == 1 else f" on each of {workers} workers"
    return [
        f"memory:  {_bytes(cost.memory_bytes)}{each} in a step: {_bytes(cost.weight_bytes)} of "
        f"weights, the U-Net's in {name}, {_bytes(cost.trained_bytes)} of what trains with its "
        f"gradient and moments, {_bytes(cost.activation_bytes)} of activations; allocators add to "
        "it",
        f"work:    {_flops(cost.training_flops)} of training, {_flops(cost.step_flops)} a step, "
        f"and {_flops(cost.preparation_flops)} of preparation where the cache has nothing of it",
    ]


def _bytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def _flops(count: int) -> str:
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e9:.3g} GFLOP"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
