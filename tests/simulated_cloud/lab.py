"""The cloud as a test sees it: a laptop to run commands on, and the machines' folders."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.checkout import copy_checkout
from tests.simulated_cloud import remote
from tests.simulated_cloud.place import CLOUD, EXCHANGE, GATEWAY, IMAGE, LAPTOP, MACHINES, SEEN

__all__ = ["Lab", "can_simulate", "lab"]

ROOT = Path(__file__).resolve().parents[2]
_NEW = (
    "unshare",
    "--net",
    "--pid",
    "--mount",
    "--fork",
    "--mount-proc",
    "--propagation",
    "private",
)
_PYTHON = f"{CLOUD}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
_BOOT = f"""
set -e
mount --bind "$1" {CLOUD}
mount --bind "$2" {CLOUD}/python
mount --bind "$3" {CLOUD}/libraries
mount -o remount,ro,bind {CLOUD}/libraries
mount --bind {LAPTOP}/tmp /tmp
{_PYTHON} -m venv --without-pip {IMAGE}
cp {CLOUD}/image-bin/* {IMAGE}/bin
cd {CLOUD}/tools
exec {_PYTHON} -c 'from tests.simulated_cloud.hypervisor import main; main()'
"""
_TOOL = """#!/bin/sh
exec {python} -SE -c 'import sys; sys.path.insert(0, "{cloud}/tools")
from tests.simulated_cloud.{module} import {name}
sys.exit({name}(sys.argv[1:]))' "$@"
"""
_TOOLS = {"ssh": "remote", "rsync": "remote", "docker": "container"}
_SCRIPTS = {
    "sudo": '#!/bin/sh\nexec "$@"\n',
    # Nothing is installed on a machine of the cloud.
    "apt-get": "#!/bin/sh\nexit 0\n",
    # On every node of a list at once, with the caller's variables and folder.
    "srun": f"""#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for node in ${{SLURM_JOB_NODELIST//,/ }}; do
    {CLOUD}/bin/ssh slurm@$node "$(export -p); cd $PWD; $(printf '%q ' "$@")" & started+=($!)
done
for one in "${{started[@]}}"; do wait $one || status=$?; done
exit ${{status:-0}}
""",
    "exportfs": "#!/bin/sh\ngrep -q '^/mnt/shared ' /etc/exports\n",
    "mount": f"""#!/bin/sh
case "$1 $2" in
    "-t nfs4") exec /bin/mount --bind "{MACHINES}/${{3%%:*}}${{3#*:}}" "$4" ;;
    *) exec /bin/mount "$@" ;;
esac
""",
}
_COMMANDS = {
    "pip": "-m pip",
    "ray": '-c "from ray.scripts.scripts import main; main()"',
    "serve": '-c "from ray.serve.scripts import cli; cli()"',
    "aws": f"""-c "import sys; sys.path.insert(0, '{CLOUD}/tools')
from tests.simulated_cloud.aws_cli import main; main()\"""",
}
"""What an image has in its bin folder beside Python."""
_LIBRARIES = {
    "PYTHONPATH": f"{CLOUD}/libraries",
    "PYTHONDONTWRITEBYTECODE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://{GATEWAY}:5000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
_IMAGE = {
    # What pip is asked for is there, so it needs no network.
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_worker_niceness": "0",
}


class Lab:
    """A running cloud."""

    def __init__(self, folder: Path) -> None:
        """Start it in an empty folder, with a checkout on the laptop."""
        self._folder = folder
        # Users of the machines look into it.
        folder.chmod(0o755)
        for name in ("bin", "image-bin", "tools", "python", "libraries", "machines"):
            (folder / name).mkdir()
        self.laptop = folder / LAPTOP.relative_to(CLOUD)
        self.checkout = self.laptop / "customdiffusion"
        for path in (self.laptop / "tmp", self.checkout):
            path.mkdir(parents=True)
        copy_checkout(self.checkout)
        _write_tools(folder)
        paths = [str(folder), sys.base_prefix, sysconfig.get_paths()["purelib"]]
        environment = os.environ | _LIBRARIES
        self._log = (folder / "log").open("wb")
        self._held = subprocess.Popen(
            # It ends with this process, whatever ends that.
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                *_NEW,
                "--kill-child",
                "bash",
                "-c",
                _BOOT,
                "boot",
                *paths,
            ],
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )
        while not self._exchange.exists():
            assert self._held.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)

    def run(self, command: str, host: str = "laptop") -> "subprocess.CompletedProcess[str]":
        """Run a command in the laptop's checkout, or on a machine; its output is one text."""
        with tempfile.TemporaryFile() as printed, Path(os.devnull).open() as nothing:
            streams = (nothing.fileno(), printed.fileno(), printed.fileno())
            status = remote.run(host, command, streams, self._exchange)
            printed.seek(0)
            return subprocess.CompletedProcess(command, status, printed.read().decode())

    def start(self, command: str, host: str = "laptop") -> None:
        """Run a command in the background, until the cloud ends."""
        threading.Thread(target=self.run, args=(command, host), daemon=True).start()

    def machines(self) -> dict[str, Path]:
        """Return the folder of each machine by its private address."""
        found = (self._folder / MACHINES.relative_to(CLOUD)).iterdir()
        return {path.name: path for path in found}

    def seen(self) -> list[dict[str, Any]]:
        """Return what ssh and docker were asked, in order."""
        path = self._folder / SEEN.relative_to(CLOUD)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def end(self) -> None:
        """End all of it."""
        self._held.kill()
        self._held.wait()
        self._log.close()

    @property
    def _exchange(self) -> Path:
        return self._folder / EXCHANGE.relative_to(CLOUD)


@contextmanager
def lab() -> Iterator[Lab]:
    """Run a cloud, and leave nothing of it behind."""
    # Sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="lab", ignore_cleanup_errors=True) as folder:
        running = Lab(Path(folder))
        try:
            yield running
        finally:
            running.end()


@cache
def can_simulate() -> bool:
    """Whether this process may make machines: it must be root, with namespaces and `ip`."""
    test = f"mount -t tmpfs test {CLOUD} && ip link add switch type bridge"
    try:
        made = subprocess.run([*_NEW, "sh", "-c", test], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return made.returncode == 0


def _write_tools(folder: Path) -> None:
    texts = {
        name: _TOOL.format(python=_PYTHON, cloud=CLOUD, module=module, name=name)
        for name, module in _TOOLS.items()
    }
    for name, text in (texts | _SCRIPTS).items():
        _write_script(folder / "bin" / name, text)
    for name, words in _COMMANDS.items():
        text = f'#!/bin/sh\nexec {IMAGE}/bin/python {words} "$@"\n'
        _write_script(folder / "image-bin" / name, text)
    (folder / "tools" / "tests").mkdir()
    (folder / "tools" / "tests" / "__init__.py").touch()
    shutil.copytree(Path(__file__).parent, folder / "tools" / "tests" / "simulated_cloud")
    (folder / "laptop.json").write_text(json.dumps(_LIBRARIES))
    (folder / "image.json").write_text(json.dumps(_LIBRARIES | _IMAGE))


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
