"""The walk of docs/cluster.md on AWS, command by command, with Ray's own launcher and cluster.yaml:
from a new account to a served picture, and down again.

EC2, ssh and docker are those of `tests/simulated_cloud`. In the place of p4d stands a type without
GPUs, and the pocket base in the place of Stable Diffusion.
"""

import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from tests.cluster_document import commands
from tests.cluster_file import read_cluster
from tests.simulated_cloud.lab import Lab, lab

pytestmark = pytest.mark.cloud

ABSENT = ("venv", "pip install", "aws ec2", "#efa", "FROM ", "RUN ")
"""What the cloud here has already, or has not."""
SMALL_FILES = {
    "cluster.yaml": {"p4d.24xlarge": "c5.xlarge"},
    "deploy/aws/serve.yaml": {
        "base: sd1.4": "base: pocket",
        "slots: 16": "slots: 2",
        "max_replicas: 8": "max_replicas: 1",
        "gpus: 1": "gpus: 0",
        "cpus: 4": "cpus: 1",
    },
}
SMALL_JOB = "--steps 2 --rows-per-step 5 --variants 2 --regularization-images 2 --sample-seeds 0"
WHERE = """
import os, ray
ray.init()
@ray.remote(num_cpus=2)
def where():
    return ray.util.get_node_ip_address(), os.environ["OMP_NUM_THREADS"]
print("told:", *ray.get(where.remote()))
print("folder:", os.getcwd())
"""
PATIENCE_S = 900.0


@dataclass
class Walk:
    """What the commands have printed, and what there was to see before the cluster ended."""

    cloud: Lab
    printed: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    variables: str = "true"

    def follow(self, command: str, *, wanted: int | None = 0, name: str = "") -> str:
        """Run a command in the reader's shell; the exports before it hold."""
        done = self.cloud.run(f"{self.variables}; {command}")
        self.printed[name or command] = done.stdout
        assert wanted is None or done.returncode == wanted, f"{command}\n{done.stdout}"
        return done.stdout

    def follow_until_done(self, command: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.cloud.run(f"{self.variables}; set -o pipefail; {command}").returncode:
            assert time.monotonic() < deadline, command
            time.sleep(1)

    def take(self, command: str) -> None:
        """Take a step of the walk, with what this machine needs changed."""
        if command.startswith("export "):
            self.variables += f"; {command}"
        elif command.startswith("ray dashboard"):
            self.cloud.start(command)
            port = command.split()[-1] if "--port" in command else "8265"
            self.follow_until_done(f"curl -s -o /dev/null http://127.0.0.1:{port}/")
        elif command.startswith("curl"):
            self.follow_until_done(command)
        elif command.startswith("ray job submit"):
            small = command.replace("--gpus", SMALL_JOB).replace("--base sd1.4", "--base pocket")
            self.follow(f"ray job submit -- python -c {shlex.quote(WHERE)}", name="where")
            self.follow(small, name="train")
        elif command.startswith("ray down"):
            self.look_around()
            self.follow(command.replace("ray down", "ray down --yes"))
        else:
            self.follow(command.replace("ray up", "ray up --yes"))

    def look_around(self) -> None:
        self.seen = self.cloud.seen()
        wrong = "RAY_AUTH_TOKEN=0123456789abcdef-a-wrong-token ray job submit -- true"
        self.follow(wrong, wanted=None, name="wrong token")
        for address in self.cloud.machines():
            reached = (
                f"curl -s -m 2 -o /dev/null http://{address}:8265/ && echo reached || echo not"
            )
            self.follow(reached, name=f"dashboard of {address}")


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    with lab() as cloud:
        for name, changes in SMALL_FILES.items():
            text = (cloud.checkout / name).read_text()
            for before, after in changes.items():
                assert before in text
                text = text.replace(before, after)
            (cloud.checkout / name).write_text(text)
        cloud.run("cp -r examples/mycat photos")
        walked = Walk(cloud)
        for command in commands("AWS", leaving_out=ABSENT):
            walked.take(command)
        yield walked


def plain(command: str) -> str:
    """A command without what a shell and the launcher wrap around it."""
    return re.sub(r"[\s'\"\\]+", " ", command.replace("/home/ray/", "~/"))


def machines(walk: Walk) -> tuple[str, str]:
    """The private addresses of the head and of the worker."""
    worker, _ = re.findall(r"^told: (\S+) (\S+)$", walk.printed["where"], re.MULTILINE)[0]
    (head,) = set(walk.cloud.machines()) - {worker}
    return head, worker


def test_the_launcher_runs_every_command_of_the_file_in_order(walk: Walk) -> None:
    file = read_cluster("cluster.yaml")
    _, worker = machines(walk)
    common = file["initialization_commands"] + file["setup_commands"]
    expected = {
        "head": common + file["head_setup_commands"] + file["head_start_ray_commands"],
        "worker": common + file["worker_start_ray_commands"],
    }
    asked = {"head": "", "worker": ""}
    for each in walk.seen:
        if "ssh" in each:
            asked["worker" if each["host"] == worker else "head"] += plain(each["ssh"]) + "\n"
    for place, lines in expected.items():
        rest = asked[place]
        for line in lines:
            before, found, rest = rest.partition(plain(line))
            assert found, f"{place}: {line}, not after {before[-300:]}"


def test_work_waits_for_a_machine_that_the_autoscaler_starts_and_gets_all_its_threads(
    walk: Walk,
) -> None:
    _, threads = re.findall(r"^told: (\S+) (\S+)$", walk.printed["where"], re.MULTILINE)[0]
    assert threads == "2"
    assert "folder: /home/ray/customdiffusion" in walk.printed["where"]
    assert len(walk.cloud.machines()) == 2


def test_a_concept_is_taught_and_comes_home(walk: Walk) -> None:
    assert "published: /mnt/shared/concepts/" in walk.printed["train"]
    summary = json.loads((walk.cloud.checkout / "mycat" / "run.json").read_text())
    assert summary["status"] == "finished"
    assert (walk.cloud.checkout / "mycat" / "mycat.safetensors").is_file()


def test_a_picture_is_served(walk: Walk) -> None:
    with Image.open(walk.cloud.checkout / "beach.png") as picture:
        assert picture.size == (64, 64)


def test_who_has_no_token_or_no_tunnel_gets_nothing(walk: Walk) -> None:
    assert "invalid or incorrect" in walk.printed["wrong token"]
    for address in walk.cloud.machines():
        assert walk.printed[f"dashboard of {address}"] == "not\n"


def test_every_machine_ends_with_the_cluster(walk: Walk) -> None:
    head, worker = machines(walk)
    for address in (head, worker):
        assert walk.cloud.run("true", address).returncode != 0
