import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from cdcore.errors import ConfigError, CustomDiffusionError, RunError
from cdcore.formats.exports.tool_names import TOOLS
from cdcore.model.base import Base
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import TrainJob
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training import driver as train_driver
from rayjobs.training.driver import train
from tests.rayjobs.stand_in import Cluster
from tests.rayjobs.train_case import job, write_pictures


@pytest.fixture
def plain(tmp_path: Path, tiny_folder: Path) -> TrainJob:
    write_pictures(tmp_path / "images")
    return job(tmp_path, tiny_folder)


def folder_of(made: TrainJob) -> Path:
    assert made.images is not None
    return made.images


def truncate(folder: Path) -> None:
    path = folder / "1.png"
    path.write_bytes(path.read_bytes()[:900])


def bomb(folder: Path) -> None:
    """Write a PNG of a few bytes whose header declares ten billion pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no pictures in it": empty,
    "damaged picture": truncate,
    "empty file": lambda folder: (folder / "1.png").write_bytes(b""),
    "megapixels": bomb,
    "not a picture": lambda folder: (folder / "1.png").write_text("a text"),
}


def refused(bad: TrainJob, match: str) -> None:
    """Check that the job is refused in one line, before Ray starts, with nothing left behind."""
    with pytest.raises(CustomDiffusionError, match=match) as caught:
        train(bad)
    assert "\n" not in str(caught.value)
    assert not (bad.output / bad.name).exists()


@pytest.mark.parametrize("message", DAMAGES)
def test_a_folder_that_cannot_be_used_is_refused(
    plain: TrainJob, cluster: Cluster, message: str
) -> None:
    DAMAGES[message](folder_of(plain))
    refused(plain, message)
    assert not cluster.tasks


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"images": Path("/no/such/folder")}, "no such folder"),
        ({"images": Path(__file__)}, "not a folder"),
        ({"images": Path("~nobody-has-this-name/x")}, "user.s home"),
        ({"class_noun": ""}, "is no word"),
        ({"class_noun": "  "}, "is no word"),
        ({"class_noun": "<cat>"}, "is no word"),
        ({"class_noun": "cat " * 20}, "shorter"),
        ({"initializer_token": "<x>"}, "is no word"),
        ({"modifier_token": "my cat"}, "angle brackets"),
        ({"modifier_token": "<My Cat>"}, "angle brackets"),
        ({"base": "/no/such/base"}, "cannot be loaded"),
        ({"base": "no-such-base"}, "cannot be loaded"),
        ({"workers": 6}, "6 workers for 5 rows_per_step"),
        ({"workers": 3}, "too many workers"),
        ({"holdout": 3}, "hold out 3 of 3"),
        ({"steps": 0}, "steps is 0"),
        ({"export": "comfyui,photoshop"}, "expected some of comfyui,a1111,diffusers,peft"),
        ({"regularization_images": 0}, "regularization_images is 0"),
        ({"regularization": Path("/no/such/folder")}, "/no/such/folder: no such folder"),
        ({"regularization": Path(__file__).parent}, "no pictures in it"),
        (
            {"regularization": Path("cats"), "regularization_ratio": 0.0},
            "no step has a row for its pictures at regularization_ratio 0",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(
    plain: TrainJob, cluster: Cluster, changes: dict[str, Any], match: str
) -> None:
    cluster.workers = 2
    refused(replace(plain, **changes), match)
    assert not cluster.tasks


@pytest.mark.parametrize(
    ("export", "tools"), [(None, ()), ("none", ()), ("peft,comfyui", ("comfyui", "peft"))]
)
def test_exports_are_made_where_asked_for_and_never_unasked_on_a_pocket_base(
    plain: TrainJob, cluster: Cluster, export: str | None, tools: tuple[str, ...]
) -> None:
    train(replace(plain, export=export))
    assert cluster.tasks[0].exports == tools


def test_on_any_other_base_they_are_made_for_every_tool(
    plain: TrainJob, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Base, "is_pocket", False)
    train(plain)
    assert cluster.tasks[0].exports == TOOLS


def test_an_output_that_is_a_file_is_refused(plain: TrainJob, cluster: Cluster) -> None:
    plain.output.write_text("a file")
    with pytest.raises(NotADirectoryError):
        train(plain)
    assert not cluster.tasks


def test_a_folder_of_something_else_is_neither_used_nor_overwritten(
    plain: TrainJob, cluster: Cluster
) -> None:
    theirs = plain.output / plain.name / "config.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("key: value\n")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="choose another --name"):
            train(replace(plain, overwrite=overwrite))
    theirs.rename(theirs.with_name("notes.txt"))
    for overwrite in (False, True):
        with pytest.raises(RunError, match="holds no run"):
            train(replace(plain, overwrite=overwrite))
    assert not cluster.tasks
    assert theirs.with_name("notes.txt").read_text() == "key: value\n"


def test_a_finished_run_says_so_and_is_not_trained_again(
    plain: TrainJob, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    train(plain)
    before = capsys.readouterr().out
    summary = train(plain)
    after = capsys.readouterr().out
    assert len(cluster.tasks) == 1
    assert summary["status"] == "finished"
    assert "already finished" in after
    assert before.splitlines()[-2:] == after.splitlines()[-2:]


def test_a_run_goes_on_with_more_steps_and_not_with_other_settings(
    plain: TrainJob, cluster: Cluster
) -> None:
    train(plain)
    changes: dict[str, Any] = {"steps": 3, "learning_rate": 1e-3, "seed": 7, "class_noun": "dog"}
    for name, value in changes.items():
        with pytest.raises(RunError, match=f"other settings .*{name} was") as caught:
            train(replace(plain, **{name: value}))
        assert "\n" not in str(caught.value)
    (folder_of(plain) / "0.png").rename(folder_of(plain) / "7.png")
    with pytest.raises(RunError, match=r"other pictures: 0\.png, 7\.png"):
        train(plain)
    (folder_of(plain) / "7.png").rename(folder_of(plain) / "0.png")
    train(replace(plain, steps=9, workers=2, checkpoint_every=7))
    assert [task.config.steps for task in cluster.tasks] == [4, 9]
    assert RunDirectory(plain.output / plain.name).read_config() is not None


def test_overwriting_trains_again_from_nothing(plain: TrainJob, cluster: Cluster) -> None:
    train(plain)
    run = RunDirectory(plain.output / plain.name)
    (run.checkpoints / "step-000004").mkdir(parents=True)
    run.samples.mkdir()
    train(replace(plain, overwrite=True, seed=7))
    assert [task.config.seed for task in cluster.tasks] == [0, 7]
    assert not run.samples.exists()
    assert not run.checkpoints.exists()


def test_too_many_workers_leave_the_run_that_was_to_be_overwritten(
    plain: TrainJob, cluster: Cluster
) -> None:
    train(plain)
    cluster.workers = 1
    with pytest.raises(CustomDiffusionError, match="too many"):
        train(replace(plain, overwrite=True, workers=2))
    assert RunDirectory(plain.output / plain.name).concept_file.exists()


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (KeyboardInterrupt(), {"status": "interrupted"}),
        (ValueError("defect\n  traceback"), {"status": "failed", "error": "defect"}),
        (ValueError(), {"status": "failed", "error": "ValueError"}),
    ],
)
def test_a_run_that_ends_early_says_how_and_leaves_nothing_half_written(
    plain: TrainJob, cluster: Cluster, error: BaseException, summary: dict[str, Any]
) -> None:
    torn = plain.output / plain.name / "checkpoints" / ".writing-s-000010"
    cluster.error = error
    cluster.before = lambda: torn.mkdir(parents=True)
    cluster.error = error
    with pytest.raises(type(error)):
        train(plain)
    run = RunDirectory(plain.output / plain.name)
    assert run.read_summary() == {"name": "mycat", **summary}
    assert not torn.exists()
    cluster.error = None
    cluster.before = lambda: None
    assert train(plain)["status"] == "finished"


def test_two_processes_cannot_train_the_same_run(plain: TrainJob, cluster: Cluster) -> None:
    with (
        RunDirectory(plain.output / plain.name).locked(),
        pytest.raises(RunError, match="another process"),
    ):
        train(plain)
    assert not cluster.tasks


def test_paths_and_notes_are_printed_as_they_are_in_whole_lines(
    plain: TrainJob, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    output = plain.output / ("[bold]" + "long" * 30)
    (folder_of(plain) / "1.png").unlink()
    (folder_of(plain) / "[red]:cat:.txt").touch()
    train(replace(plain, output=output))
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 5
    assert "note: images: not read as pictures: [red]:cat:.txt" in out
    assert "note: only 2 picture(s)" in out
    assert f"concept:  {output}/mycat/mycat.safetensors" in out
    assert len(cluster.tasks) == 1


@pytest.mark.parametrize(
    ("workers", "shares"),
    [
        (1, "all on 1 worker"),
        (2, "3 on each of 2 workers, 1 of them empty"),
        (5, "1 on each of 5 workers"),
    ],
)
def test_the_plan_says_how_many_rows_each_worker_has(
    plain: TrainJob, cluster: Cluster, capsys: pytest.CaptureFixture[str], workers: int, shares: str
) -> None:
    train(replace(plain, workers=workers))
    plan = next(line for line in capsys.readouterr().out.splitlines() if "teaching" in line)
    assert plan.endswith(f"4 steps of 3 target and 2 regularization rows, {shares}")
    assert cluster.tasks[0].config.learning_rate == 3e-4


def test_a_joint_job_ships_the_pictures_of_each_concept_and_notes_name_it(
    plain: TrainJob, cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_pictures(tmp_path / "tom", 5)
    write_pictures(tmp_path / "seat", 3)
    sources = (
        ConceptSource(images=tmp_path / "tom", class_noun="cat"),
        ConceptSource(images=tmp_path / "seat", class_noun="chair"),
    )
    joint = replace(plain, images=None, class_noun=None, train="joint", concepts=sources, holdout=1)
    train(joint)
    (task,) = cluster.tasks
    assert [len(shown) for shown in task.pictures] == [4, 2]
    assert [[one.path.name for one in shown] for shown in task.targets] == [["4.png"], ["2.png"]]
    note, plan, *_ = capsys.readouterr().out.splitlines()
    assert note.startswith("note: <seat> chair: only 3 picture(s)")
    assert plan.startswith("teaching '<tom> cat' and '<seat> chair' to ")
    assert "from 4 and 2 pictures: 4 steps of 3 target" in plan
    (tmp_path / "seat" / "0.png").unlink()
    with pytest.raises(RunError, match=r"other pictures of concept 2: 0\.png"):
        train(replace(joint, holdout=0, concepts=sources))


def test_the_figures_of_a_joint_run_are_printed_for_each_part(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figures = {"image_alignment": {"base": 0.5, "concept": 0.75}, "prior_drift": 0.0}
    spread = {"spread": {"prior_drift": 0.5}}
    parts = {"subjects": {"<mycat> cat": figures | spread}, "pairs": {"both": figures}}
    summary = {"metrics": figures | spread | parts}
    train_driver._print_result(Console(), RunDirectory(tmp_path / "x"), summary)
    assert capsys.readouterr().out.splitlines()[:4] == [
        "image alignment: 0.500 -> 0.750",
        "prior drift: 0.000",
        "<mycat> cat: image alignment 0.500 -> 0.750, prior drift 0.000",
        "both: image alignment 0.500 -> 0.750, prior drift 0.000",
    ]


def test_photographs_on_the_pocket_base_get_one_line(
    plain: TrainJob, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    train(plain)
    assert "drawn world" not in capsys.readouterr().out
    assert plain.images is not None
    Image.new("RGB", (640, 480), "red").save(plain.images / "photograph.jpg")
    train(replace(plain, overwrite=True))
    lines = capsys.readouterr().out.splitlines()
    (note,) = [line for line in lines if "drawn world" in line]
    assert "64 x 64" in note
    assert "sd1.4" in note


def test_a_relative_base_is_the_same_base_from_anywhere(
    plain: TrainJob, cluster: Cluster, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_folder.parent)
    train(replace(plain, base=tiny_folder.name))
    train(plain)
    assert [task.base for task in cluster.tasks] == [str(tiny_folder)]


def test_a_relative_output_in_a_job_s_copy_is_refused_before_the_start(
    plain: TrainJob, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"working_dir": "gcs://p.zip"}}'
    )
    for changes in ({"output": Path("runs")}, {"cache": Path("c")}, {"registry": "reg"}):
        elsewhere: dict[str, Any] = {
            "output": tmp_path.parent / "runs",
            "cache": tmp_path.parent / "cache",
        }
        with pytest.raises(ConfigError, match="CUSTOMDIFFUSION_ROOT"):
            train(replace(plain, **elsewhere | changes))
    assert not cluster.tasks


def test_a_run_of_an_earlier_version_goes_on_from_the_class_noun(
    plain: TrainJob, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    """It says so in its configuration; what tokens start from by default has changed since."""
    train(replace(plain, prior_weighting="four_to_one"))
    run = RunDirectory(plain.output / plain.name)
    text = run.config_file.read_text()
    assert "initializer_token: cat" in text
    # As the versions before called it.
    run.config_file.write_text(text.replace("four_to_one", "reference"))
    rare = replace(tiny_base, profile=replace(tiny_base.profile, initializer_tokens=("ktn",)))
    monkeypatch.setattr(train_driver, "load_base", lambda *_, **__: rare)
    longer = replace(plain, prior_weighting="four_to_one", steps=9)
    train(longer)
    train(replace(longer, overwrite=True))
    before, on, afresh = cluster.tasks
    words = [task.config.subjects[0].initializer_token for task in cluster.tasks]
    assert words == ["cat", "cat", "ktn"]
    assert on.identity == before.identity, "its checkpoints are its own"
    assert afresh.identity != before.identity
    with pytest.raises(RunError, match="initializer_token was 'ktn', now 'cat'"):
        train(replace(longer, initializer_token="cat"))


def test_the_total_counts_what_earlier_starts_have_done(plain: TrainJob, cluster: Cluster) -> None:
    cluster.earlier_s = 500.0
    seconds = train(plain)["seconds"]
    assert seconds["earlier"] == 500
    assert 500 < seconds["total"] < 600
