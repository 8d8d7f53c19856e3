"""The script for Slurm on one and on two nodes, which are namespaces of this machine.

`srun` is played by a script that runs a command on every node; all else is real.
"""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cdcore.concepts.storage import load_concept
from rayjobs.runs.run_directory import RunDirectory
from tests.rayjobs.train_case import flags, job
from tests.simulated_cloud.lab import Lab, lab
from tests.simulated_cloud.place import CLOUD, IMAGE, LAPTOP, NODES

SCRIPT = Path(__file__).resolve().parent.parent / "deploy" / "slurm" / "train.sbatch"
HERE = LAPTOP / "customdiffusion"


@pytest.fixture(scope="module")
def slurm() -> Iterator[Lab]:
    with lab() as running:
        (running.checkout / ".venv").symlink_to(IMAGE)
        yield running


def submitted(slurm: Lab, nodes: list[str], *options: str) -> tuple[int, str]:
    """Run the script as Slurm does: on the first node, with the options of ``sbatch``."""
    variables = {
        "SLURM_SUBMIT_DIR": str(HERE),
        "SLURM_JOB_NODELIST": ",".join(nodes),
        "SLURM_JOB_NUM_NODES": str(len(nodes)),
        "SLURM_CPUS_PER_TASK": "2",
        "PYTHONPATH": f"{CLOUD}/libraries",
        "HF_HUB_OFFLINE": "1",
    }
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    line = shlex.join(["bash", "deploy/slurm/train.sbatch", *options])
    done = slurm.run(f"cd {HERE} && env {settings} {line}", host=nodes[0])
    return done.returncode, done.stdout


@pytest.mark.cloud
@pytest.mark.parametrize("count", [1, 2])
def test_the_script_trains_on_all_nodes_of_its_allocation(slurm: Lab, count: int) -> None:
    nodes = [f"{NODES}{10 * count + number}" for number in range(count)]
    small = replace(
        job(HERE, "pocket", steps=2, name=f"cat{count}", workers=count),
        images=Path("examples/mycat"),
        output=Path("runs"),
        cache=Path("cache"),
        export="none",
    )
    status, printed = submitted(slurm, nodes, *flags(small))
    assert status == 0, printed
    run = RunDirectory(slurm.checkout / "runs" / small.name)
    assert run.read_summary()["status"] == "finished"
    assert load_concept(run.concept_file).phrases == (f"<cat{count}> cat",)
    assert f"on {count} worker" in printed or f"each of {count} workers" in printed


@pytest.mark.cloud
def test_what_the_job_ends_with_is_the_script_s_status(slurm: Lab) -> None:
    status, printed = submitted(slurm, [f"{NODES}10"], "--images", "nowhere", "--name", "none")
    assert status == 2, printed
    assert "error: " in printed


def test_options_of_sbatch_stand_before_the_first_command() -> None:
    lines = SCRIPT.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[first:] if line.startswith("#SBATCH")]
    given = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert "--ntasks-per-node=1" in given
    assert "--exclusive" in given
