import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import RunError
from cdcore.files import replacing
from rayjobs.runs.run_directory import RunDirectory, SCHEMA_VERSION
from cdcore.training.trainer import StepMetrics

CONFIG: dict[str, Any] = {
    "name": "mycat",
    "learning_rate": 8e-05,
    "modifier_token": None,
    "augment": True,
    "class_noun": "größe: 'x' # y",
    "pictures": {"0.png": "1e5", "1.png": "0123"},
}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / "mycat")


def line(step: int) -> StepMetrics:
    return StepMetrics(step=step, loss=0.5, target_loss=0.25, prior_loss=None, seconds=0.125)


def test_a_configuration_is_read_back_as_it_was(run: RunDirectory) -> None:
    assert run.read_config() is None
    run.write_config(CONFIG)
    assert run.read_config() == CONFIG
    assert run.config_file.read_text(encoding="utf-8").startswith("schema_version: 1\n")


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "name: other\n", "schema_version: x\n"])
def test_a_file_of_something_else_is_refused_in_one_line(run: RunDirectory, text: str) -> None:
    run.path.mkdir(parents=True)
    run.config_file.write_text(text)
    with pytest.raises(RunError, match="not the configuration of a run") as caught:
        run.read_config()
    assert "\n" not in str(caught.value)
    run.config_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="not the configuration of a run"):
        run.read_config()


def test_a_newer_schema_is_refused(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    run.config_file.write_text(f"schema_version: {SCHEMA_VERSION + 1}\n")
    with pytest.raises(RunError, match=f"schema {SCHEMA_VERSION + 1}.*update"):
        run.read_config()


def test_only_hidden_leftovers_may_stand_in_the_folder_of_a_new_run(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    (run.path / ".config-abc.yaml").write_text("cut sho")
    assert run.read_config() is None
    (run.path / "notes.txt").touch()
    with pytest.raises(RunError, match="holds no run"):
        run.read_config()


def test_steps_are_read_back_and_a_torn_last_line_is_left_out(run: RunDirectory) -> None:
    assert run.read_metrics() == []
    run.path.mkdir(parents=True)
    for step in (1, 2, 3):
        run.append_metrics(line(step))
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3]
    assert run.read_metrics()[0] == {
        "step": 1,
        "loss": 0.5,
        "target_loss": 0.25,
        "prior_loss": None,
        "seconds": 0.125,
    }
    whole = run.metrics_file.read_bytes()
    for cut in range(1, len(whole) // 3):
        run.metrics_file.write_bytes(whole[:-cut])
        assert [row["step"] for row in run.read_metrics()] == [1, 2]


@pytest.mark.parametrize("step", [0, 2, 9])
def test_truncating_drops_the_steps_that_will_be_done_again(run: RunDirectory, step: int) -> None:
    run.truncate_metrics(0)
    for number in (1, 2, 3, 4):
        run.append_metrics(line(number))
    with run.metrics_file.open("a") as file:
        file.write('{"step": 5, "lo')
    run.truncate_metrics(step)
    kept = [number for number in (1, 2, 3, 4) if number <= step]
    assert [row["step"] for row in run.read_metrics()] == kept
    run.append_metrics(line(step + 1))
    assert [row["step"] for row in run.read_metrics()] == [*kept, step + 1]


def test_lines_that_were_torn_or_written_twice_are_left_out(run: RunDirectory) -> None:
    run.path.mkdir(parents=True)
    for step in (1, 2, 3):
        run.append_metrics(line(step))
    whole = run.metrics_file.read_text()
    last = whole.splitlines()[-1]
    run.metrics_file.write_text(whole + last[:9] + last + "\n[1]\n" + whole)
    run.append_metrics(line(4))
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3, 4]
    run.truncate_metrics(3)
    assert run.metrics_file.read_text() == whole


def test_the_last_start_of_a_run_is_the_one_that_writes(run: RunDirectory) -> None:
    run.write_summary({"status": "running"})
    with pytest.raises(RunError, match="started again"):
        run.check_claim("one")
    run.claim("one")
    run.check_claim("one")
    (run.path / ".run-cut.json").write_text("{")
    run.samples.mkdir()
    (run.samples / ".before-cut.png").write_bytes(b"")
    with run.locked():
        second = run.begin()
        assert {path.name for path in run.path.iterdir()} == {
            *(".lock", ".session", "run.json", "samples")
        }
        assert not list(run.samples.iterdir())
    run.check_claim(second)
    with pytest.raises(RunError, match="started again"):
        run.check_claim("one")


def test_taking_a_run_over_leaves_whole_what_another_is_writing(run: RunDirectory) -> None:
    with replacing(run.summary_file) as temporary:
        temporary.write_text('{"status": "stopped"}')
        run.claim("stopped")
    assert run.read_summary() == {"status": "stopped"}


def test_a_summary_is_read_back_and_a_damaged_one_is_none(run: RunDirectory) -> None:
    assert run.read_summary() == {}
    run.write_summary({"name": "mycat", "seconds": {"train": 1.5}})
    assert run.read_summary() == {"name": "mycat", "seconds": {"train": 1.5}}
    for text in ("", "[1]", '{"name": '):
        run.summary_file.write_text(text)
        assert run.read_summary() == {}


def test_what_the_run_has_left_is_cleared_whole(run: RunDirectory) -> None:
    run.write_config(CONFIG)
    (run.samples / "deep").mkdir(parents=True)
    (run.path / "link").symlink_to(run.path.parent)
    with run.locked():
        run.clear()
        assert [path.name for path in run.path.iterdir()] == [".lock"]
    assert not run.path.exists()
    assert run.path.parent.exists()


def hold(path: Path, held: Any, enough: Any) -> None:
    with RunDirectory(path).locked():
        held.set()
        enough.wait(60)


def test_a_run_is_one_process_s_at_a_time(run: RunDirectory) -> None:
    run.write_config(CONFIG)
    spawn = multiprocessing.get_context("spawn")
    held, enough = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(run.path, held, enough))
    other.start()
    assert held.wait(60)
    with pytest.raises(RunError, match=r"'mycat'.*another process"), run.locked():
        pass
    # However it ends, a process takes its lock with it.
    other.kill()
    other.join(60)
    with run.locked():
        pass
    assert run.read_config() == CONFIG


def test_a_folder_that_stays_empty_goes_with_the_lock(run: RunDirectory) -> None:
    with pytest.raises(KeyboardInterrupt), run.locked():
        raise KeyboardInterrupt
    assert not run.path.exists()
    with run.locked():
        run.write_summary({})
    assert run.summary_file.exists()


def test_scores_are_read_back_by_step_and_a_later_one_replaces_its_own(run: RunDirectory) -> None:
    assert run.read_scores() == []
    run.append_scores(5, {"image": 0.5})
    run.append_scores(10, {"image": 0.75})
    assert run.read_scores() == [{"step": 5, "image": 0.5}, {"step": 10, "image": 0.75}]
    run.append_scores(10, {"image": 0.25})
    assert [line["image"] for line in run.read_scores()] == [0.5, 0.25]


@pytest.mark.parametrize("text", [None, "", '{"phase": "tra', "7", '{"phase": "training"}'])
def test_a_phase_that_is_not_told_in_full_is_none(tmp_path: Path, text: str | None) -> None:
    run = RunDirectory(tmp_path / "mycat")
    run.path.mkdir()
    if text is not None:
        run.phase_file.write_text(text)
    assert run.read_phase() is None
    run.write_phase("training", 3, 7)
    assert run.read_phase() == {"phase": "training", "done": 3, "total": 7}


def test_the_configuration_of_an_earlier_version_is_read_by_the_names_of_now(
    tmp_path: Path,
) -> None:
    run = RunDirectory(tmp_path / "mycat")
    run.path.mkdir()
    run.config_file.write_text("schema_version: 1\nprior_weighting: reference\nseed: 3\n")
    assert run.read_config() == {"prior_weighting": "four_to_one", "seed": 3}
