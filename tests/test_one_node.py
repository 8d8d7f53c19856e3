"""The recipe for one machine: its units by systemd's own check, and run, on a namespace of this
machine, from the token to a concept and a served picture.
"""

import base64
import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image
from ray.serve.schema import ServeDeploySchema

from serve.settings import ServiceSettings
from tests.cluster_document import commands
from tests.rayjobs.train_case import flags, job
from tests.simulated_cloud.lab import Lab, lab
from tests.simulated_cloud.place import CLOUD, IMAGE, LAPTOP, NODES
from tests.simulated_cloud.unit import command_line, read_unit

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "deploy" / "one-node"
UNITS = sorted(RECIPE.glob("*.service"))
SERVICES = ["deploy/one-node/serve.yaml", "deploy/aws/serve.yaml"]
MACHINE = f"{NODES}1"
PATIENCE_S = 1500.0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for each in UNITS:
        # It looks for the program as well, which is not installed here.
        installed = "ExecStart=/opt/customdiffusion/.venv/bin/"
        text = each.read_text().replace(installed, "ExecStart=/bin/true ")
        (tmp_path / each.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_both_units_have_the_same_token_and_join_the_same_ray() -> None:
    ray, service = (
        read_unit(RECIPE / f"customdiffusion-{name}.service") for name in ("ray", "serve")
    )
    of_token = [line for line in ray["Environment"] if line.startswith("RAY_AUTH_")]
    assert len(of_token) == 2
    assert set(of_token) <= set(service["Environment"])
    started = ray["ExecStart"][0]
    assert "--node-ip-address=127.0.0.1 --port=6379" in started
    assert "RAY_ADDRESS=127.0.0.1:6379" in service["Environment"]
    assert service["BindsTo"] == ["customdiffusion-ray.service"]
    assert service["WantedBy"] == ["customdiffusion-ray.service"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_file_is_what_serve_and_the_service_read(name: str) -> None:
    read = yaml.safe_load((ROOT / name).read_text())
    (application,) = ServeDeploySchema.model_validate(read).applications
    settings = ServiceSettings.model_validate(application.args)
    assert settings.gpus == 1
    # Who reaches the port without a key must be on the machine itself.
    assert read["http_options"]["host"] == "127.0.0.1"


@pytest.fixture
def machine() -> Iterator[Lab]:
    with lab() as running:
        (running.checkout / ".venv").symlink_to(IMAGE)
        yield running


def until(running: Lab, question: str) -> str:
    """Ask again and again until a command succeeds, and return what it has printed."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = running.run(question, MACHINE)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, done.stdout
        time.sleep(1)


@pytest.mark.cloud
def test_the_recipe_teaches_a_concept_and_serves_a_picture(machine: Lab) -> None:
    for line in commands(
        "One machine", leaving_out=("git clone", "make", "systemctl", "job submit")
    ):
        done = machine.run(f"cd {LAPTOP}/customdiffusion && {line}", MACHINE)
        assert done.returncode == 0, (line, done.stdout)
    machine.run(f"ln -s {LAPTOP}/customdiffusion /opt/customdiffusion", MACHINE)
    small = {"base: sd1.4": "base: pocket", "gpus: 1": "gpus: 0", "cpus: 4": "cpus: 1"}
    small |= {"min_replicas: 2": "min_replicas: 1", "slots: 16": "slots: 2"}
    settings = machine.run("cat /etc/customdiffusion/serve.yaml", MACHINE).stdout
    for before, after in small.items():
        assert before in settings
        settings = settings.replace(before, after)
    machine.run(f"cat > /etc/customdiffusion/serve.yaml <<'END'\n{settings}\nEND", MACHINE)
    # What `make install` puts into the environment.
    installed = f"{CLOUD}/libraries:/opt/customdiffusion"
    libraries = {"PYTHONPATH": installed, "PYTHONDONTWRITEBYTECODE": "1"}
    for unit in UNITS:
        # The second one is started again until the first is up, as systemd does.
        again = f"until ({command_line(unit, **libraries, OMP_NUM_THREADS='1')}); do sleep 2; done"
        machine.start(again, MACHINE)
    small_job = replace(
        job(Path("/srv"), "pocket", steps=2, registry="concepts"),
        images=Path("/opt/customdiffusion/examples/mycat"),
        output=Path("runs"),
        cache=Path("cache"),
    )
    client = f"export PYTHONPATH={CLOUD}/libraries RAY_AUTH_MODE=token"
    client += " RAY_AUTH_TOKEN_PATH=/etc/customdiffusion/token"
    submit = f"{IMAGE}/bin/ray job submit --address http://127.0.0.1:8265 --"
    until(machine, "curl -sf -o /dev/null http://127.0.0.1:8000/readyz")
    line = " ".join(["python", "rayjobs/train.py", *flags(small_job)])
    done = machine.run(f"{client}; {submit} {line}", MACHINE)
    assert done.returncode == 0, done.stdout
    assert "published: /var/lib/customdiffusion/concepts/" in done.stdout
    asked = {"model": "mycat", "prompt": "a <mycat> cat", "num_inference_steps": 2}
    ask = "curl -sf http://127.0.0.1:8000/v1/images/generations -H 'content-type: application/json'"
    answer = until(machine, f"{ask} -d '{json.dumps(asked | {'response_format': 'b64_json'})}'")
    with Image.open(io.BytesIO(base64.b64decode(json.loads(answer)["data"][0]["b64_json"]))) as it:
        assert it.size == (64, 64)
