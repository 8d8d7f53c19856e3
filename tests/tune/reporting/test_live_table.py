import io
from pathlib import Path

from rich.console import Console

from cdcore.training.trainer import StepMetrics
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.goal import Goal
from tune.reporting.live_table import LiveTable

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


def test_without_a_terminal_each_beginning_and_each_end_is_one_line(tmp_path: Path) -> None:
    folder, console = SweepFolder(tmp_path, "mycat"), Console(file=io.StringIO(), width=300)
    write_trial(folder, 0, {"seed": 7}, {4: scores(0.5)})
    with LiveTable(folder, GOAL, 3, console) as table:
        folder.run.write_phase("regularization images", 1, 4)
        table._show()
        folder.run.write_phase("regularization images", 2, 4)
        table._show()
        write_trial(folder, 1, {"seed": 8}, {}, "open")
        table._show()
        table._show()
        write_trial(folder, 1, {"seed": 8}, {2: scores(0.25, drift=0.5)}, "stopped")
        write_trial(folder, 2, {"seed": 9}, {}, "failed", "the loss is nan")
    file = console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().splitlines() == [
        "regularization images",
        "trial 1: seed 8",
        "trial 1 stopped after 2 steps: image 0.250, text 0.500, drift 0.500, out of bounds",
        "trial 2: seed 9",
        "trial 2 failed: the loss is nan",
    ]
    assert not folder.run.phase_file.exists()


def test_what_has_not_changed_is_not_told_again(tmp_path: Path) -> None:
    folder, console = SweepFolder(tmp_path, "mycat"), Console(file=io.StringIO(), width=300)
    with LiveTable(folder, GOAL, 3, console) as table:
        for status in ("open", "open", "stopped", "stopped"):
            folder.run.write_phase("base pictures", 1, 4)
            write_trial(folder, 1, {"seed": 8}, {2: scores(0.25)}, status)
            table._show()
            table._show()
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue().splitlines()
    assert len(lines) == len(set(lines)) == 3


def test_a_terminal_shows_how_far_each_trial_is(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "mycat")
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    with LiveTable(folder, GOAL, 5, console) as table:
        write_trial(folder, 0, {"seed": 7}, {4: scores(0.5)})
        write_trial(folder, 1, {"seed": 8}, {}, "open")
        run = folder.trial(1).run
        run.write_phase("training", 0, 60)
        for step in (1, 2, 3):
            run.append_metrics(
                StepMetrics(step=step, loss=1, target_loss=1, prior_loss=None, seconds=0.1)
            )
        table._show()
        file = console.file
        assert isinstance(file, io.StringIO)
        shown = file.getvalue()
    assert "training 3/60" in shown
    assert "0.500" in shown
    assert "1 of 5 trials have ended" in shown
