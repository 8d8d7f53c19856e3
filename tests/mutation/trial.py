"""A trial: the tests of one module, run on one source of it in a process of its own.

The process is a fork of one that has imported torch, pytest and everything else the tests import
from elsewhere; the module itself is imported there for the first time, from the source given.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

__all__ = ["Order", "Watch", "run_tests"]

_OPTIONS = [
    "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "timeout=0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning", "-m", "not ray and not slow and not gpu",
]  # fmt: skip


def run_tests(
    module: str,
    path: Path,
    source: str,
    tests: Sequence[str],
    *,
    plugin: Callable[[], object],
    output: Path,
    limit_s: float,
) -> bool | None:
    """Run tests on a source of a module; whether they passed, or None when time ran out.

    Args:
        module: Its dotted name.
        path: Its file, for tracebacks.
        source: What is imported instead of the file.
        tests: Files of tests.
        plugin: Makes a plugin for pytest.
        output: Where what it says is written.
        limit_s: After this time the process is killed.
    """
    folder = tempfile.mkdtemp(prefix="mutant-")
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        status = 1
        try:
            _redirect(output)
            sys.meta_path.insert(0, _Finder(module, path, source))
            status = _pytest([*tests, f"--basetemp={folder}/t"], plugin())
        finally:
            os._exit(status)
    try:
        return _wait(child, limit_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(child: int, limit_s: float) -> bool | None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _redirect(output: Path) -> None:
    written = os.open(output, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in range(3):
        os.dup2(written, stream)


def _pytest(arguments: Sequence[str], plugin: object) -> int:
    settings.register_profile(
        "mutants",
        database=None,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
    )
    settings.load_profile("mutants")
    return int(pytest.main([*_OPTIONS, *arguments], plugins=[plugin]))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, with a source that is not its file's."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module = module
        self._loader = _Loader(module, str(path))
        self._loader.mutated = source

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_loader(fullname, self._loader)


class _Loader(importlib.machinery.SourceFileLoader):
    mutated = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.mutated, self.path, "exec", dont_inherit=True)


class Watch:
    """A pytest plugin that notes which lines of a module each test runs.

    Args:
        path: The module's file.
        report: Where the lines by test, and the names of all modules loaded, are written as JSON.
    """

    def __init__(self, path: Path, report: Path) -> None:
        self._path, self._report = str(path), report
        self._lines: dict[str, set[int]] = {}
        self._now = ""
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now = nodeid

    def pytest_sessionfinish(self) -> None:
        lines = {test: sorted(numbers) for test, numbers in self._lines.items()}
        self._report.write_text(json.dumps({"lines": lines, "modules": sorted(sys.modules)}))

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != self._path:
            return None
        self._lines.setdefault(self._now, set()).add(frame.f_lineno)
        return self._trace


class Order:
    """A pytest plugin that lets some tests, those likely to fail, go before the others."""

    def __init__(self, first: Collection[str]) -> None:
        self._first = first

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.nodeid not in self._first)
