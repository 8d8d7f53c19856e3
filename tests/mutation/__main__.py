"""Tries the tests: ``python -m tests.mutation [MODULE ...]`` counts the faults that they find.

A module's tests are those of the mirrored file and of those whose name goes on after its name;
``SHARED`` adds others. Faults that change nothing a user can see stand in ``spared.toml``.
"""

import argparse
import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OWN = (
    "benchmarks",
    "cdcore",
    "conftest",
    "raycluster",
    "rayjobs",
    "serve",
    "test_",
    "tests",
    "tune",
    "__m",
)

MODULES = (
    "cdcore.merging.caption_statistics",
    "cdcore.merging.checks",
    "cdcore.merging.closed_form",
    "cdcore.merging.merge",
    "cdcore.merging.parts",
    "cdcore.merging.targets",
    "cdcore.model.kv_layout",
    "cdcore.model.noise_schedule",
    "cdcore.model.profiles",
    "cdcore.model.seam",
    "cdcore.model.update",
    "cdcore.sampling.guidance",
    "cdcore.sampling.solvers",
    "cdcore.training.latent_cache",
    "cdcore.training.latent_file",
    "cdcore.training.loss",
    "cdcore.training.row_schedule",
    "serve.api.authentication",
    "serve.policies.backlog",
    "serve.policies.byte_lru",
    "serve.policies.cache_tier",
    "serve.policies.concept_cache",
    "serve.policies.fair_queue",
    "serve.policies.loopback",
    "serve.policies.quota",
    "serve.policies.scheduler",
)
SHARED = {
    "cdcore.merging.caption_statistics": ("tests/test_precision.py",),
    "cdcore.sampling.guidance": ("tests/cdcore/sampling/test_rows.py",),
    "cdcore.sampling.solvers": ("tests/cdcore/sampling/test_rows.py",),
}


@dataclass(kw_only=True)
class Tally:
    """What became of the mutants of one module.

    Attributes:
        module: Its name.
        mutants: How many were tried.
        killed: Tests failed.
        timed_out: Tests took far longer than usual, so they failed too.
        equivalent: No input can tell them from the module.
        harmless: They change nothing that a user asked for.
        survived: The others, as ``file:line``, line before and line after.
        stale: Entries of ``spared.toml`` that fit no mutant that tests do not find.
    """

    module: str
    mutants: int = 0
    killed: int = 0
    timed_out: int = 0
    equivalent: int = 0
    harmless: int = 0
    survived: list[tuple[str, str, str]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: all it knows")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the tallies there")
    arguments = parser.parse_args()
    tallies = []
    for module in arguments.modules or MODULES:
        started = time.monotonic()
        # A process of its own, since it imports modules that another run is to mutate.
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            tried = pool.submit(_tried, module, arguments.share, arguments.seed)
            tally, loaded = tried.result()
        _load(name for name in loaded if not name.startswith(OWN))
        tallies.append(tally)
        sys.stdout.writelines(f"stale in spared.toml: {entry}\n" for entry in tally.stale)
        figures = asdict(tally) | {"survived": len(tally.survived), "stale": len(tally.stale)}
        figures["seconds"] = round(time.monotonic() - started)
        sys.stdout.write(", ".join(f"{name} {value}" for name, value in figures.items()) + "\n")
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1))
    sys.exit(any(tally.survived for tally in tallies))


def _tried(module: str, share: float, seed: int) -> tuple[Tally, list[str]]:
    from tests.mutation.mutant import mutants_of
    from tests.mutation.trial import Order, Watch, run_tests

    path = ROOT / (module.replace(".", "/") + ".py")
    source, tests = path.read_text(encoding="utf-8"), _tests_of(path, module)
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    report, output = folder / "report.json", folder / "output.txt"
    started = time.monotonic()
    trial = partial(run_tests, module, path, tests=tests, output=output)
    if not trial(source, plugin=partial(Watch, path, report), limit_s=600):
        raise RuntimeError(f"tests of {module} fail without a fault:\n{output.read_text()}")
    limit_s = 20 + 4 * (time.monotonic() - started)
    watched = json.loads(report.read_text())
    _load_all_but(module, watched["modules"])
    spared = _spared(path)
    tally, draw, met = Tally(module=module), random.Random(seed), set()
    for mutant in mutants_of(source):
        if draw.random() >= share:
            met.add((mutant.before, mutant.after))
            continue
        tally.mutants += 1
        lines = set(range(mutant.first, mutant.last + 1))
        reached = [
            test for test, numbers in watched["lines"].items() if lines.intersection(numbers)
        ]
        passed: bool | None = True
        if reached:
            passed = trial(mutant.source, plugin=partial(Order, reached), limit_s=limit_s)
        kind = spared.get((mutant.before, mutant.after))
        if passed and kind is not None:
            met.add((mutant.before, mutant.after))
            setattr(tally, kind, getattr(tally, kind) + 1)
        elif passed:
            place = f"{path.relative_to(ROOT)}:{mutant.first}"
            tally.survived.append((place, mutant.before, mutant.after))
            sys.stdout.write(f"survived {place}\n  - {mutant.before}\n  + {mutant.after}\n")
            sys.stdout.flush()
        tally.killed += passed is False
        tally.timed_out += passed is None
    shutil.rmtree(folder)
    tally.stale = [" -> ".join(entry) for entry in spared.keys() - met]
    return tally, watched["modules"]


def _spared(path: Path) -> dict[tuple[str, str], str]:
    """Return the kind of each mutant of a file that may survive, by the lines before and after."""
    text = (Path(__file__).parent / "spared.toml").read_text(encoding="utf-8")
    return {
        (entry["before"], entry["after"]): kind
        for kind, entries in tomllib.loads(text).items()
        for entry in entries
        if entry["file"] == path.relative_to(ROOT).as_posix()
    }


def _tests_of(path: Path, module: str) -> list[str]:
    folder = ROOT / "tests" / path.parent.relative_to(ROOT)
    own = [folder / f"test_{path.stem}.py", *sorted(folder.glob(f"test_{path.stem}_*.py"))]
    found = [str(test.relative_to(ROOT)) for test in own if test.exists()]
    found += [name for name in SHARED.get(module, ()) if name not in found]
    if not found:
        raise FileNotFoundError(f"{module} has no tests; expected {own[0]}")
    return found


def _load_all_but(module: str, names: list[str]) -> None:
    """Import what the tests import, so that no trial has to, but nothing that needs a module."""
    blocked: Any = sys.modules
    blocked[module] = None
    _load(name for name in names if not name.startswith(("conftest", "test")))
    del blocked[module]
    gc.freeze()


def _load(names: Iterable[str]) -> None:
    for name in names:
        if name not in sys.modules:
            # What cannot be imported here is left to the trials.
            with contextlib.suppress(Exception):
                importlib.import_module(name)


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    main()
