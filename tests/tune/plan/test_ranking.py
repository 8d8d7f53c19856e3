from pathlib import Path

from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.goal import Goal
from tune.plan.ranking import front, ranked

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


def test_only_finished_trials_are_compared(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, "mycat")
    found = {0: scores(0.6), 1: scores(0.9, drift=0.9), 2: scores(0.7), 3: scores(0.5, text=0.6)}
    for number, final in found.items():
        write_trial(folder, number, {}, {4: final})
    write_trial(folder, 4, {}, {2: scores(0.99)}, "stopped")
    write_trial(folder, 5, {}, {}, "failed", "diverged")
    write_trial(folder, 6, {}, {2: scores(0.99)}, "open")
    records = folder.records()
    assert [record.number for record in ranked(records, GOAL)] == [2, 0, 3, 1]
    # 0 is beaten by 2 on one score and on none the better.
    assert front(records) == [1, 2, 3]
    assert ranked([], GOAL) == []
    assert front([]) == []
