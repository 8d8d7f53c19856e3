"""A script in a process of its own, forked from one that has imported its libraries already.

A driver takes longer to import torch, Ray and the model libraries than to do what a test is about.
Its process is new and has Ray to itself, as the script has; only the imports are shared. That the
files themselves can be started is tested where a job is submitted, or meets a full disk.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

__all__ = ["PATIENCE_S", "ForkedScript"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 1500.0
"""Nothing is late before that: other work may have the machine."""
_GONE_S = 120.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["rayjobs.training.driver", "rayjobs.evaluation.driver", "tune.running.driver"]
)


def _be_the_script(
    module: str, arguments: tuple[str, ...], folder: str, environment: dict[str, str], shown: str
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{shown}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [str(ROOT.joinpath(*module.split(".")).with_suffix(".py")), *arguments]
    from cdcore.command_line.parser import run_command

    run_command(importlib.import_module(module).main)


class ForkedScript:
    """What a user starts with ``python rayjobs/train.py`` and the like, on a cluster of its own."""

    def __init__(self, module: str, *arguments: str, folder: Path, **environment: str) -> None:
        """Start a script.

        Args:
            module: Its name with dots.
            arguments: Its command line.
            folder: Its working directory.
            environment: Variables that it has besides those of this process.
        """
        self._shown = tempfile.mkdtemp(prefix="shown-", dir=folder)
        # A test's workers are no background work.
        given = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
        self._process = _FORKS.Process(
            target=_be_the_script,
            args=(
                module,
                arguments,
                str(folder),
                {**os.environ, **given, **environment},
                self._shown,
            ),
        )
        self._process.start()

    def wait(self) -> tuple[int, str, str]:
        """Return the exit status, and what the terminal has shown."""
        self._process.join(PATIENCE_S)
        status = self._process.exitcode
        assert status is not None, self.read()
        return status, *self.read()

    def succeed(self) -> str:
        """Return what a script that goes well has shown."""
        status, out, err = self.wait()
        assert (status, err) == (0, ""), (out, err)
        return out

    def wait_until(self, is_so: Callable[[], bool], *, poll_s: float = 0.05) -> None:
        """Wait for something that is so before the script ends."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert self._process.exitcode is None, self.read()
            assert time.monotonic() < deadline
            time.sleep(poll_s)

    def children(self) -> list[psutil.Process]:
        """Return all of its Ray."""
        assert self._process.pid is not None
        found = psutil.Process(self._process.pid).children(recursive=True)
        assert any("raylet" in child.name() for child in found)
        return found

    def interrupt(self) -> tuple[int, str, str]:
        """Stop it as Ctrl-C does; nothing of Ray may be left."""
        children = self.children()
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGINT)
        ended = self.wait()
        assert not psutil.wait_procs(children, timeout=_GONE_S)[1]
        return ended

    def kill(self) -> list[psutil.Process]:
        """Kill it alone, and return what it leaves behind without waiting for its end."""
        children = self.children()
        self._process.kill()
        self._process.join()
        return children

    def kill_all(self) -> None:
        """Kill it and all of Ray, without a word of warning."""
        children = self.children()
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.join()

    def read(self) -> tuple[str, str]:
        files = [Path(self._shown, name) for name in ("out", "err")]
        out, err = (file.read_text() if file.is_file() else "" for file in files)
        return out, err
