"""The training job, and a sweep, on a running cluster: submitted from a checkout, from a head's own
folder, and started from an installed package; with the right token, a wrong one and none.

The cluster's Python has the libraries and not this project, as a cluster's image has.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

from cdcore.concepts.storage import load_concept
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from rayjobs.config.training import TrainJob
from rayjobs.runs.result_paths import ROOT_VARIABLE
from rayjobs.runs.run_directory import RunDirectory
from tests.checkout import copy_checkout
from tests.deploy.monitoring.promql import names_in
from tests.ray_head import PATIENCE_S, TOKEN, Head, bare_python, environment
from tests.ray_metrics import samples_of
from tests.rayjobs.train_case import flags, job, write_pictures
from tests.test_trouble import can_mount, on_a_small_disk
from tune.plan.folder import SweepFolder

ROOT = Path(__file__).resolve().parent.parent
WRONG = "fedcba9876543210-some-other-token"

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = bare_python(tmp_path_factory.mktemp("python"))
    seen = subprocess.run(
        [str(made), "-c", "import ray, torch; import cdcore"],
        # Python looks in the working directory first.
        cwd=made.parent,
        env=environment(made),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'cdcore'" in seen.stderr
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the head was started in; empty but for one test."""
    return tmp_path_factory.mktemp("head")


@pytest.fixture(scope="module")
def head(python: Path, place: Path) -> Iterator[Head]:
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as sessions:
        started = Head(python, place, Path(sessions))
        yield started
        started.stop()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    return folder


@pytest.fixture
def plain(tiny_folder: Path, tmp_path: Path) -> TrainJob:
    write_pictures(tmp_path / "images")
    return replace(job(tmp_path, tiny_folder), output=Path("runs"))


def own_lines(printed: str) -> list[str]:
    """Return the lines of the job among those of ``ray job submit``."""
    lines = printed.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Running entrypoint"))
    return [line for line in lines[start + 1 :] if " -- " not in line and line.strip("- \x1b")]


def test_submitted_with_its_own_environment_it_writes_to_the_configured_root(
    head: Head, python: Path, checkout: Path, plain: TrainJob, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    paths = f"{tmp_path / 'theirs'}:{environment(python)['PYTHONPATH']}"
    own = {
        "env_vars": {ROOT_VARIABLE: str(root), "PYTHONPATH": paths},
        "excludes": ["*.mp4"],
        "config": {"setup_timeout_seconds": 900},
    }
    wanted = replace(plain, registry="concepts")
    done = head.submit(
        *("--working-dir", ".", "--runtime-env-json", json.dumps(own), "--"),
        *("python", "rayjobs/train.py", *flags(wanted)),
        folder=checkout,
    )
    assert done.returncode == 0, done.stdout
    run = RunDirectory(root / "runs" / "mycat")
    assert run.read_summary()["status"] == "finished"
    published = Registry(root / "concepts").resolve("mycat")
    assert published.read_bytes() == run.concept_file.read_bytes()
    assert own_lines(done.stdout)[-2:] == [
        f"published: {published}",
        f"concept:  {run.concept_file}",
    ]


def test_a_sweep_is_submitted_as_training_is(
    head: Head, checkout: Path, plain: TrainJob, tmp_path: Path
) -> None:
    wanted = replace(plain, output=tmp_path / "runs")
    done = head.submit(
        *("--working-dir", ".", "--", "python", "tune/sweep.py", *flags(wanted)),
        *("--search", "learning_rate=1e-3,1e-4", "--trials", "1", "--no-early-stopping"),
        *("--score-prompts", "1", "--text-floor", "0", "--drift-ceiling", "2"),
        folder=checkout,
    )
    assert done.returncode == 0, done.stdout
    sweep = SweepFolder(tmp_path / "runs" / "mycat-sweep", "mycat")
    assert [record.status for record in sweep.records()] == ["finished"]
    assert str(sweep.path) in own_lines(done.stdout)[-1]


def test_prometheus_finds_the_nodes_and_reads_what_a_job_trains(
    head: Head, checkout: Path, plain: TrainJob, tmp_path: Path
) -> None:
    wanted = replace(plain, output=tmp_path / "runs", steps=100_000)
    listed = json.loads((head.sessions / PROMETHEUS_SERVICE_DISCOVERY_FILE).read_text())
    request = urllib.request.Request(
        f"{head.dashboard}/api/prometheus/sd", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer) == listed
    (targets,) = (group["targets"] for group in listed)
    done = head.submit(
        *("--no-wait", "--submission-id", "watched", "--working-dir", "."),
        *("--", "python", "rayjobs/train.py", *flags(wanted)),
        folder=checkout,
    )
    assert done.returncode == 0, done.stdout
    try:
        deadline = time.monotonic() + PATIENCE_S
        runs: dict[str, str] = {}
        while not names_in("Training") <= runs.keys():
            assert time.monotonic() < deadline, f"{names_in('Training') - runs.keys()} not exported"
            time.sleep(1)
            # The token is not asked for.
            samples = [one for target in targets for one in samples_of(f"http://{target}/metrics")]
            runs = {name: labels["run"] for name, labels, _ in samples if "run" in labels}
        assert set(runs.values()) == {"mycat"}
    finally:
        head.end_job("watched")


def test_submitted_without_a_root_a_relative_output_is_refused_with_the_remedy(
    head: Head, checkout: Path, plain: TrainJob
) -> None:
    done = head.submit(
        *("--working-dir", ".", "--", "python", "rayjobs/train.py", *flags(plain)), folder=checkout
    )
    assert done.returncode != 0
    # The client repeats the last lines of a job that has failed.
    (line,) = {line for line in own_lines(done.stdout) if line.startswith("error: ")}
    assert line.startswith("error: --output is 'runs', which lies in the job's temporary copy")
    assert ROOT_VARIABLE in line


def test_pictures_that_an_ignore_file_keeps_out_of_the_copy_are_missed_with_the_reason(
    head: Head, checkout: Path, plain: TrainJob, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkout, tmp_path / "mine")
    write_pictures(folder / "photos")
    (folder / ".gitignore").write_text("/photos/\n")
    wanted = replace(plain, images=Path("photos"), output=tmp_path / "runs")
    done = head.submit(
        *("--working-dir", ".", "--", "python", "rayjobs/train.py", *flags(wanted)), folder=folder
    )
    assert done.returncode != 0
    (line,) = {line for line in own_lines(done.stdout) if line.startswith("error: ")}
    assert "photos: no such folder" in line
    assert ".gitignore names photos by '/photos/'" in line


def test_submitted_to_a_head_in_a_checkout_the_plain_command_is_enough(
    head: Head, place: Path, plain: TrainJob
) -> None:
    copy_checkout(place)
    try:
        done = head.submit("--", "python", "rayjobs/train.py", *flags(plain), folder=place.parent)
        assert done.returncode == 0, done.stdout
        run = RunDirectory(place / "runs" / "mycat")
        assert own_lines(done.stdout)[-1] == f"concept:  {run.concept_file}"
        assert run.read_summary()["status"] == "finished"
    finally:
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_an_installed_package_trains_two_concepts_jointly_on_a_cluster_it_joins(
    head: Head, checkout: Path, plain: TrainJob, tmp_path: Path, tiny_base: Base
) -> None:
    installed = tmp_path / "installed"
    # pip builds inside the sources.
    sources = shutil.copytree(checkout, tmp_path / "sources")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(installed)]
    subprocess.run([*pip, *options, str(sources)], check=True, capture_output=True)
    assert (installed / "rayjobs" / "examples" / "demo.yaml").is_file()
    paths = f"{installed}:{environment(Path(sys.executable))['PYTHONPATH']}"
    elsewhere = tmp_path / "elsewhere"
    write_pictures(elsewhere / "tom", 3)
    write_pictures(elsewhere / "seat", 4)
    concepts = [
        {"images": "tom", "class_noun": "cat", "name": "tom"},
        {"images": "seat", "class_noun": "chair"},
    ]
    small = {"steps": 3, "variants": 2, "sample_seeds": [0], "regularization_images": 2}
    places = {"base": plain.base, "cache": str(plain.cache), "output": "runs"}
    settings = {"name": "both", "train": "joint", "concepts": concepts, **places, **small}
    (elsewhere / "joint.yaml").write_text(yaml.safe_dump(settings))
    joint = ("-m", "rayjobs.train", "--config", "joint.yaml")
    done = head.run(*joint, folder=elsewhere, PYTHONPATH=paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("teaching '<tom> cat' and '<seat> chair' to ")
    run = RunDirectory(elsewhere / "runs" / "both")
    assert done.stdout.splitlines()[-1] == f"concept:  {run.concept_file}"
    concept = load_concept(run.concept_file)
    concept.check_base(tiny_base)
    assert concept.phrases == ("<tom> cat", "<seat> chair")
    assert list(concept.tokens) == ["<tom>", "<seat>"]


@pytest.mark.parametrize(
    ("token", "reason"), [(WRONG, "invalid or incorrect"), ("", "find an authentication token")]
)
def test_without_the_cluster_s_token_nothing_is_submitted(
    head: Head, tmp_path: Path, token: str, reason: str
) -> None:
    done = head.submit(
        *("--", "touch", str(tmp_path / "was-here")),
        folder=tmp_path,
        RAY_AUTH_TOKEN=token,
        HOME=str(tmp_path),
    )
    assert done.returncode != 0
    assert reason in done.stdout
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("token", [WRONG, ""])
def test_a_driver_without_the_cluster_s_token_ends_with_one_line(
    head: Head, checkout: Path, plain: TrainJob, token: str
) -> None:
    assert plain.images is not None
    folder = plain.images.parent
    done = head.run(
        *(str(checkout / "rayjobs" / "train.py"), *flags(plain)),
        folder=folder,
        RAY_AUTH_TOKEN=token,
        HOME=str(folder),
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: the Ray cluster at {head.address} cannot be joined")
    assert done.stderr.count("\n") == 1
    assert not (folder / "runs" / "mycat").exists()


def test_an_output_that_another_node_does_not_share_is_refused_before_the_start(
    python: Path, checkout: Path, plain: TrainJob, tmp_path: Path
) -> None:
    private, shared = tmp_path / "private", tmp_path / "shared"
    private.mkdir()
    if not can_mount(private):
        pytest.skip("needs the right to mount another disk for another node")
    train = str(checkout / "rayjobs" / "train.py")
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as sessions:
        head = Head(python, tmp_path, Path(sessions))
        try:
            head.add_node(tmp_path, wrapper=on_a_small_disk(private, "1m"))
            lost = replace(plain, output=private / "runs")
            done = head.run(train, *flags(lost), folder=tmp_path)
            assert done.returncode == 2, done.stderr
            assert "does not share" in done.stderr
            assert "--output" in done.stderr
            assert done.stderr.count("\n") == 1
            assert not list((private / "runs").iterdir())
            kept = replace(plain, output=shared, workers=2, zero_stage=2)
            done = head.run(train, *flags(kept), folder=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            assert RunDirectory(shared / "mycat").concept_file.is_file()
        finally:
            head.stop()
