import io
from pathlib import Path

import pytest
from rich.console import Console

from rayjobs.runs.run_directory import RunDirectory
from cdcore.training.trainer import StepMetrics
from rayjobs.runs import progress
from rayjobs.runs.progress import RunProgress


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "mycat")


@pytest.fixture(autouse=True)
def _no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the tests when the files are looked at."""
    monkeypatch.setattr(progress, "_POLL_S", 3600.0)


def shown(run: RunDirectory, phases: list[tuple[str, int, int]], *, terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, highlight=False)
    with RunProgress(run, console) as bar:
        for phase in phases:
            run.write_phase(*phase)
            if phase[0] == "training" and phase[1]:
                run.append_metrics(
                    StepMetrics(
                        step=phase[1], loss=0.5, target_loss=0.5, prior_loss=None, seconds=0.25
                    )
                )
            bar._show()
    return text.getvalue()


PHASES = [
    ("regularization images", 32, 64),
    ("regularization images", 64, 64),
    ("training", 0, 3),
    *(("training", step, 3) for step in (1, 2, 3)),
    ("sampling", 1, 2),
    ("sampling", 2, 2),
]


def test_a_file_gets_a_line_for_the_start_and_the_end_of_each_phase(run: RunDirectory) -> None:
    assert shown(run, PHASES, terminal=False).splitlines() == [
        "regularization images 32/64",
        "regularization images 64/64",
        "training 1/3 loss 0.500  0.25 s/step",
        "training 3/3 loss 0.500  0.25 s/step",
        "sampling 1/2",
        "sampling 2/2",
    ]


def test_in_a_long_phase_a_line_comes_from_time_to_time(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_LINE_S", -1.0)
    phases = [("sampling", done, 9) for done in (1, 2, 3)]
    assert shown(run, phases, terminal=False).splitlines() == [
        "sampling 1/9",
        "sampling 2/9",
        "sampling 3/9",
    ]


def test_a_file_never_gets_the_same_line_twice_in_a_row(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_LINE_S", -1.0)
    slow = [phase for phase in PHASES for _ in range(3)]
    lines = shown(run, slow, terminal=False).splitlines()
    assert all(line != after for line, after in zip(lines, lines[1:], strict=False))
    assert lines[-1] == "sampling 2/2"


def test_a_terminal_gets_a_bar_for_each_phase(run: RunDirectory) -> None:
    text = shown(run, PHASES, terminal=True)
    last = text.rpartition("starting")[2]
    for part in ("regularization images", "64/64", "3/3", "loss 0.500  0.25 s/step", "2/2"):
        assert part in last


def test_nothing_to_show_and_a_torn_file_show_nothing(run: RunDirectory) -> None:
    assert shown(run, [], terminal=False) == ""
    text = io.StringIO()
    with RunProgress(run, Console(file=text)) as bar:
        run.phase_file.parent.mkdir(parents=True)
        run.phase_file.write_text('{"phase": "tra')
        bar._show()
    assert text.getvalue() == ""


def test_what_an_earlier_session_was_doing_is_forgotten(run: RunDirectory) -> None:
    run.write_phase("sampling", 1, 2)
    assert shown(run, [], terminal=False) == ""
    assert not run.phase_file.exists()
