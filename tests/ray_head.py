"""A Ray head of a test's own, started as an administrator starts one, with a token."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

__all__ = ["PATIENCE_S", "TOKEN", "Head", "bare_python", "environment", "free_port"]

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
    """One node with two CPUs; more nodes can join it, or an autoscaler adds them."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        sessions: Path,
        *,
        cpus: int = 2,
        adds: Mapping[str, float] | None = None,
        is_new: bool = True,
        is_open: bool = False,
    ) -> None:
        """Start a head.

        Args:
            python: Of all its processes.
            folder: Its working directory.
            sessions: Folder for Ray's own files; a short path, because sockets lie there.
            cpus: Of the head.
            adds: The resources of one node that an autoscaler can add; None has no autoscaler.
            is_new: Whether it is the second generation of Ray's autoscaler.
            is_open: Whether it asks for no token; scripts that are forked can give none.
        """
        self._python = python
        self.sessions = sessions
        self._processes: list[subprocess.Popen[bytes]] = []
        port, dashboard = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        scaling, self._settings = [], dict[str, str]()
        if adds is not None:
            file = sessions / "autoscaling.yaml"
            file.write_text(yaml.safe_dump(_autoscaling(self.address, adds)))
            scaling = [f"--autoscaling-config={file}"]
            self._settings = _FAKE | (_NEW if is_new else {})
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        if is_open:
            self.token = {"RAY_AUTH_MODE": "disabled"}
        self._start(
            (),
            folder,
            cpus,
            *("--head", "--node-ip-address=127.0.0.1", f"--port={port}"),
            *(f"--dashboard-port={dashboard}", f"--temp-dir={sessions}"),
            *scaling,
        )
        self._wait_until_it_answers()

    def add_node(self, folder: Path, *, wrapper: Sequence[str] = (), cpus: int = 2) -> None:
        """Start another node, with an address of its own.

        Args:
            folder: Its working directory.
            wrapper: The start of a command that makes the environment of the node.
            cpus: Of the node.
        """
        before = self._nodes()
        address = f"--node-ip-address=127.0.0.{len(self._processes) + 1}"
        self._start(wrapper, folder, cpus, f"--address={self.address}", address)
        deadline = time.monotonic() + PATIENCE_S
        while self._nodes() == before:
            assert self._processes[-1].poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def kill_node(self) -> None:
        """Kill the node that was added last and all that runs on it, as when it is taken away."""
        node = self._processes.pop()
        left = psutil.Process(node.pid).children(recursive=True)
        node.kill()
        node.wait(PATIENCE_S)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=PATIENCE_S)

    def submit(
        self, *arguments: str, folder: Path, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ray job submit`` to its end; ``changes`` are environment variables."""
        return self._ray("job", "submit", *arguments, folder=folder, **changes)

    def end_job(self, submission_id: str) -> None:
        """Stop a submitted job, and wait until it has ended."""
        self._ray("job", "stop", submission_id, folder=self._python.parent)

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
        # Nodes that an autoscaler has added end with nobody.
        for child in psutil.wait_procs(left, timeout=5 if self._settings else 120)[1]:
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

    def _start(self, wrapper: Sequence[str], folder: Path, cpus: int, *arguments: str) -> None:
        command: list[Any] = [*wrapper, self._python, "-c", _RAY, "start", *arguments]
        self._processes.append(
            subprocess.Popen(
                [
                    *(*map(str, command), f"--num-cpus={cpus}", "--num-gpus=0", "--block"),
                    # Another cluster on this machine has the usual one.
                    f"--dashboard-agent-listen-port={free_port()}",
                    *("--object-store-memory=100000000", "--disable-usage-stats"),
                ],
                cwd=folder,
                env=environment(self._python, **self.token, **self._settings),
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


_FAKE = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
_HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
_NEW = {
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": _HEAD_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD_ID,
}


def _autoscaling(address: str, adds: Mapping[str, float]) -> dict[str, Any]:
    """Describe a cluster whose nodes are processes of this machine, as Ray's own tests have it."""
    head = {"resources": {}, "node_config": {}, "max_workers": 0}
    node = {"resources": dict(adds), "node_config": {}, "min_workers": 0, "max_workers": 1}
    commands: tuple[str, ...] = ("setup", "head_setup", "worker_setup", "initialization")
    commands += ("head_start_ray", "worker_start_ray")
    # What Ray fills in for the providers that it knows by name.
    nothing: dict[str, Any] = {f"{one}_commands": [] for one in commands}
    nothing |= {"auth": {}, "docker": {}, "file_mounts": {}, "file_mounts_sync_continuously": False}
    nothing |= {"cluster_synced_files": [], "rsync_exclude": [], "rsync_filter": []}
    return nothing | {
        "cluster_name": "growing",
        "max_workers": 1,
        "provider": {
            # By its path: the defaults that Ray would read for its name are not in its wheel.
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": _HEAD_ID,
            "launch_multiple": True,
            # Nodes are up when they are started: nothing is to be set up by a shell.
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "use_node_id_as_ip": True,
        },
        "available_node_types": {"ray.head.default": head, "node": node},
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
    }


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
