"""This trainer against the stock recipe: ``python benchmarks/training/compare.py``.

One run, one machine, the same base, pictures, settings and threads. The stock recipe is that of
`benchmarks.recipes.stock`, with its own best learning rate; ``--peer-script`` also times the
diffusers example itself.
"""

# ruff: noqa: E402 - the checkout comes first on sys.path

import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from rayjobs.cli.quiet_start import silence

silence()

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.common.figures import save_figures
from benchmarks.common.machine import describe_machine
from benchmarks.recipes.case import TrainingCase, load_training_base, training_config
from benchmarks.recipes.diffusers_script import measure_peer_script
from benchmarks.recipes.ours import EngineName
from benchmarks.recipes.recipe import Recipe
from benchmarks.training.flops import our_step, stock_step
from benchmarks.training.flops_xl import our_step_xl, stock_step_xl
from benchmarks.training.memory import RecipeName, measure_peak
from benchmarks.training.pace import measure_pace
from benchmarks.training.race import Heat, Point, Scorer, best_rate, lap, median_share
from benchmarks.training.report import show
from cdcore.command_line.parser import parse, run_command
from cdcore.errors import BaseModelError, ConfigError
from cdcore.model.base import Base
from cdcore.model.device import DeviceName, chosen_device
from cdcore.model.location import POCKET_FOLDER
from cdcore.pictures.augmentation import apply_variant, plain_variant
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pocket.networks.judge import Judge
from cdcore.training.config import SubjectConfig

PartName = Literal["flops", "pace", "memory", "race"]
_PARTS: tuple[PartName, ...] = ("flops", "pace", "memory", "race")
_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mycat"
_TUNING_SEED = 1_000_000
"""The seed of the runs that choose the stock recipe's learning rate; no seed of the race."""
_RATE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The rates tried for the stock recipe, as shares of the base's own."""
_SCORING_SEEDS = (0, 1, 2)
_SCORES = 12
"""How often a run of this project's recipe is scored in the race."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingBenchmark:
    """What to measure, on what, and where to write it."""

    base: str = "pocket"
    """The base: pocket, or the folder of another one."""
    images: Path = _EXAMPLE
    """Pictures of the concept; default the shipped example."""
    class_noun: str = "cat"
    """What kind of thing it is."""
    json: Path | None = None
    """Write the figures to this file."""
    quick: bool = False
    """A few steps of everything: shows that it runs, its figures mean nothing."""
    parts: tuple[PartName, ...] = _PARTS
    """What to measure."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of the race."""
    learning_rate: float | None = None
    """Learning rate of this project's recipe in the race; default the base's own."""
    regularization_ratio: float = 1.0
    """Regularization rows for each target row of this project's recipe in the race; the stock
    recipe has one."""
    stock_learning_rates: tuple[float, ...] = ()
    """Learning rates tried for the stock recipe; default five around the base's own."""
    compile: bool = False
    """Also measure the pace of this trainer with a compiled U-Net."""
    peer_script: Path | None = None
    """diffusers' train_custom_diffusion.py, to be timed as well."""
    engine: EngineName = "deepspeed"
    """What drives this trainer's optimiser."""
    threads: int | None = None
    """Threads of torch, for all recipes; default torch's own choice."""
    device: DeviceName = "auto"
    """Where to compute."""
    cache: Path = Path("~/.cache/customdiffusion")
    """Folder of regularization images and latents."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if not self.seeds or not self.parts:
            raise ConfigError("--seeds and --parts need at least one each")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"--threads is {self.threads}, expected 1 or more")


def main() -> None:
    """Measure, write and show.

    Raises:
        CustomDiffusionError: A setting is impossible, or the base or its judge is missing.
        OSError: A file cannot be written.
    """
    job = parse(
        TrainingBenchmark,
        prog="compare.py",
        description="Measure this trainer against the stock recipe on the same base and pictures.",
    )
    console = Console(highlight=False, markup=False, emoji=False)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    started = time.perf_counter()
    figures = measure(job, console)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    show(figures, console)
    save_figures(job.json, figures, console)


def measure(job: TrainingBenchmark, console: Console) -> dict[str, Any]:
    """Measure all parts and return their figures, ready for JSON."""
    device = chosen_device(job.device)
    figures: dict[str, Any] = {
        "machine": describe_machine(device),
        "base": job.base,
        "quick": job.quick,
        "engine": job.engine,
    }
    if "flops" in job.parts:
        console.print("counting FLOPs")
        figures["flops"] = _flops(job)
    if set(job.parts) == {"flops"} and job.peer_script is None:
        return figures
    base = load_training_base(job.base, device)
    case = _case(job, base)
    figures["settings"] = asdict(case.config)
    measured: dict[PartName, Callable[[], Any]] = {
        "race": lambda: _race(job, case, base, console),
        "pace": lambda: _pace(job, case, base),
        "memory": lambda: _memory(job, case, base),
    }
    for name, part in measured.items():
        if name in job.parts:
            console.print(f"measuring the {name}")
            figures[name] = part()
    if job.peer_script is not None:
        console.print("measuring the peer script")
        steps = 6 if job.quick else 60
        seconds = measure_peer_script(job.peer_script, case, base, steps=steps)
        figures["peer_script"] = {"seconds_per_step": seconds}
    return figures


def _case(job: TrainingBenchmark, base: Base) -> TrainingCase:
    noun = job.class_noun
    subject = SubjectConfig(class_noun=noun, token="<mycat>", initializer_token=noun)
    quick = {"steps": 6, "variants": 2, "regularization_images": 4} if job.quick else {}
    return TrainingCase(
        base=job.base,
        config=training_config(base, subjects=(subject,), **quick),
        pictures=read_pictures(job.images.expanduser()),
        cache=job.cache.expanduser().resolve(),
        engine=job.engine,
        device=str(base.device),
    )


def _flops(job: TrainingBenchmark) -> dict[str, Any]:
    counted = {"sd1": (our_step("sd1"), stock_step("sd1"))}
    if not job.quick:
        counted["sdxl"] = (our_step_xl(), stock_step_xl())
    return {
        shape: {"ours": asdict(ours), "stock": asdict(stock), "ratio": ours.flops / stock.flops}
        for shape, (ours, stock) in counted.items()
    }


def _pace(job: TrainingBenchmark, case: TrainingCase, base: Base) -> dict[str, Any]:
    recipes: dict[str, Recipe] = {
        "ours": case.our_recipe(base),
        "stock": case.stock_recipe(case.load_base()),
    }
    if job.compile:
        compiled = case.load_base()
        compiled.seam.unet.compile()
        recipes["ours, compiled"] = case.our_recipe(compiled)
    paces = measure_pace(
        recipes,
        base.device,
        rounds=2 if job.quick else 10,
        steps_per_block=2 if job.quick else 20,
    )
    stock = paces["stock"].steps_per_second
    return {
        name: asdict(pace)
        | {
            "steps_per_second": pace.steps_per_second,
            "ratio_to_stock": pace.steps_per_second / stock,
        }
        for name, pace in paces.items()
    }


def _memory(job: TrainingBenchmark, case: TrainingCase, base: Base) -> dict[str, Any]:
    # From here on what this project prepares is in the cache.
    case.our_recipe(base)
    names: tuple[RecipeName, ...] = ("ours", "stock")
    steps = 2 if job.quick else 10
    return {name: asdict(measure_peak(case, name, steps=steps)) for name in names}


def _race(
    job: TrainingBenchmark, case: TrainingCase, base: Base, console: Console
) -> dict[str, Any]:
    scorer = Scorer(
        base,
        _judge(job),
        _targets(case, base),
        _SCORING_SEEDS[: 1 if job.quick else 3],
        job.class_noun,
    )
    steps, own_rate = case.config.steps, case.config.learning_rate
    rates = job.stock_learning_rates or tuple(own_rate * factor for factor in _RATE_FACTORS)

    def stock_end(seed: int, rate: float) -> Point:
        at_rate = case.with_settings(seed=seed, learning_rate=rate)
        recipe = at_rate.stock_recipe(at_rate.load_base())
        return lap(recipe, scorer, base.device, [steps])[-1]

    rate, tried = rates[0], list[Point]()
    if len(rates) > 1 and not job.quick:
        console.print(f"choosing the stock recipe's learning rate among {len(rates)}")
        rate, tried = best_rate(rates, lambda one: stock_end(_TUNING_SEED, one))
    chosen = {
        "learning_rate": job.learning_rate or own_rate,
        "regularization_ratio": job.regularization_ratio,
    }
    heats = []
    for seed in job.seeds[: 1 if job.quick else None]:
        console.print(f"seed {seed}")
        ours = case.with_settings(seed=seed, **chosen)
        stops = sorted({max(1, steps * part // _SCORES) for part in range(1, _SCORES + 1)})
        heats.append(
            Heat(
                seed=seed,
                preparation=ours.preparation(base),
                ours=lap(ours.our_recipe(base), scorer, base.device, stops),
                stock=stock_end(seed, rate),
            )
        )
    return {
        "ours": chosen,
        "stock_learning_rate": rate,
        "stock_learning_rates_tried": [
            {"learning_rate": one, **asdict(point)}
            for one, point in zip(rates, tried, strict=False)
        ],
        "heats": [asdict(heat) | {"finish": _described(heat.finish)} for heat in heats],
        "share_of_stock_seconds": {
            "training": median_share(heats, with_preparation=False),
            "training and preparation": median_share(heats, with_preparation=True),
        },
    }


def _described(point: Point | None) -> dict[str, Any] | None:
    return None if point is None else asdict(point)


def _judge(job: TrainingBenchmark) -> Judge:
    folder = POCKET_FOLDER if job.base == "pocket" else Path(job.base).expanduser()
    try:
        return Judge.load(folder / "judge")
    except (OSError, ValueError) as error:
        raise BaseModelError(
            f"{folder} has no judge, which scores the race; take a pocket base, or --parts "
            "flops pace memory"
        ) from error


def _targets(case: TrainingCase, base: Base) -> Tensor:
    """Return the pictures of the subject as they are, (M, 3, S, S)."""
    resolution = base.profile.resolution
    plain = plain_variant(resolution)
    return torch.stack(
        [
            apply_variant(picture.image, plain, resolution, base.latent_factor)[0]
            for picture in case.pictures
        ]
    )


if __name__ == "__main__":
    run_command(main)
