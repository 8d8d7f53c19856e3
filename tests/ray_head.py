"""A Ray head of a test's own, started as an administrator starts one, with a token."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

__all__ = ["TOKEN", "Head", "bare_python", "environment", "free_port"]

TOKEN = "0123456789abcdef-the-right-token"
_RAY = "from ray.scripts.scripts import main; main()"
_SERVE = "from ray.serve.scripts import cli; cli()"
PATIENCE_S = 1500.0
_SETTINGS = ("RAY_", "CUSTOMDIFFUSION_", "PYTHONPATH")


def bare_python(folder: Path) -> Path:
    """Make an environment that has what this project needs, and not the project.

    The libraries are those of this process. A path on PYTHONPATH is not searched for ``.pth``
    files, so an editable installation of the project is not seen.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def environment(python: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a process of that Python, with no setting of this one's Ray."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_SETTINGS)}
    kept |= {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": sysconfig.get_paths()["purelib"],
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # A test's workers are no background work.
        "RAY_worker_niceness": "0",
    }
    return kept | changes


class Head:
    """One node with two CPUs; more nodes can join it."""

    def __init__(self, python: Path, folder: Path, sessions: Path) -> None:
        """Start a head.

        Args:
            python: Of all its processes.
            folder: Its working directory.
            sessions: Folder for Ray's own files; a short path, because sockets lie there.
        """
        self._python = python
        self._processes: list[subprocess.Popen[bytes]] = []
        port, dashboard = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        self._start(
            [],
            folder,
            *("--head", "--node-ip-address=127.0.0.1", f"--port={port}"),
            *(f"--dashboard-port={dashboard}", f"--temp-dir={sessions}"),
        )
        self._wait_until_it_answers()

    def add_node(self, wrapper: list[str], folder: Path) -> None:
        """Start another node in the environment that a wrapping command makes."""
        before = self._nodes()
        self._start(wrapper, folder, f"--address={self.address}")
        deadline = time.monotonic() + PATIENCE_S
        while self._nodes() == before:
            assert self._processes[-1].poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def submit(
        self, *arguments: str, folder: Path, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ray job submit`` to its end; ``changes`` are environment variables."""
        return self._ray("job", "submit", *arguments, folder=folder, **changes)

    def deploy(self, configuration: Path) -> subprocess.CompletedProcess[str]:
        """Run ``serve deploy``, which returns before the application is ready."""
        return self._command(_SERVE, "deploy", str(configuration), folder=configuration.parent)

    def run(self, *command: str, folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a driver that joins the cluster from outside."""
        given = {"RAY_ADDRESS": self.address, **self.token, **changes}
        return subprocess.run(
            [str(self._python), *command],
            cwd=folder,
            env=environment(self._python, **given),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def stop(self) -> None:
        """Stop all nodes, and wait until nothing of them is left."""
        left: list[psutil.Process] = []
        for process in self._processes:
            left += psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(PATIENCE_S)
        for child in psutil.wait_procs(left, timeout=120)[1]:
            child.kill()

    def _ray(
        self, *arguments: str, folder: Path, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        return self._command(_RAY, *arguments, folder=folder, **changes)

    def _command(
        self, program: str, *arguments: str, folder: Path, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        addresses = dict.fromkeys(
            ("RAY_API_SERVER_ADDRESS", "RAY_DASHBOARD_ADDRESS"), self.dashboard
        )
        given = {**addresses, **self.token, **changes}
        return subprocess.run(
            [str(self._python), "-c", program, *arguments],
            cwd=folder,
            env=environment(self._python, **given),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def _start(self, wrapper: list[str], folder: Path, *arguments: str) -> None:
        command: list[Any] = [*wrapper, self._python, "-c", _RAY, "start", *arguments]
        self._processes.append(
            subprocess.Popen(
                [
                    *(*map(str, command), "--num-cpus=2", "--num-gpus=0", "--block"),
                    # Another cluster on this machine has the usual one.
                    f"--dashboard-agent-listen-port={free_port()}",
                    *("--object-store-memory=100000000", "--disable-usage-stats"),
                ],
                cwd=folder,
                env=environment(self._python, **self.token),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def _wait_until_it_answers(self) -> None:
        request = urllib.request.Request(
            f"{self.dashboard}/api/version", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self._processes[0].poll() is None
            assert time.monotonic() < deadline
            try:
                with urllib.request.urlopen(request, timeout=20):
                    return
            except OSError:
                time.sleep(0.3)

    def _nodes(self) -> str:
        listed = self._ray("list", "nodes", "--format=json", folder=self._python.parent)
        return str(listed.stdout.count('"node_id"'))


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
