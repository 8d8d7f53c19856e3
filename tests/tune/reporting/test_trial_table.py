from pathlib import Path

import pytest
from rich.console import Console

from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder, TrialRecord
from tune.plan.goal import Goal
from tune.reporting.trial_table import arrow_table, markdown_table, rich_table, settings_text

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


@pytest.fixture
def records(tmp_path: Path) -> list[TrialRecord]:
    folder = SweepFolder(tmp_path, "mycat")
    write_trial(folder, 0, {"learning_rate": 0.00123456, "seed": 7}, {8: scores(0.5)})
    write_trial(folder, 1, {"learning_rate": 0.5, "seed": 8}, {8: scores(0.75)})
    write_trial(
        folder, 2, {"learning_rate": 0.1, "seed": 9}, {4: scores(0.9, drift=0.5)}, "stopped"
    )
    write_trial(folder, 3, {"learning_rate": 0.9, "seed": 1}, {}, "failed", "loss | is\nnan")
    write_trial(folder, 4, {"learning_rate": 0.2, "seed": 2}, {}, "open")
    return folder.records()


def test_markdown_has_the_best_first_and_every_trial_in_one_line(
    records: list[TrialRecord],
) -> None:
    lines = markdown_table(records, GOAL).splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 1", "| 0", "| 2", "| 3", "| 4"]
    assert lines[2] == "| 1 | 0.5 | 8 | finished | 8 | 0.750 | 0.500 | 0.100 | yes | yes |"
    assert lines[4] == "| 2 | 0.1 | 9 | stopped | 4 | 0.900 | 0.500 | 0.500 | no |  |"
    assert "failed: loss \\| is nan" in lines[5]


def test_parquet_has_full_precision(records: list[TrialRecord]) -> None:
    table = arrow_table(records, GOAL)
    rows = table.to_pylist()
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["setting.learning_rate"] == 0.00123456
    assert rows[0]["score.image_alignment"] == 0.5
    assert [row["on_front"] for row in rows] == [False, True, False, False, False]
    assert [row["in_bounds"] for row in rows] == [True, True, False, None, None]
    assert rows[1]["goal"] == 0.75
    assert rows[3]["error"] == "loss | is\nnan"
    has_file = [row["concept_file"] is not None for row in rows]
    assert has_file == [one.status == "finished" for one in records]


def test_the_terminal_shows_what_open_trials_are_doing(records: list[TrialRecord]) -> None:
    console = Console(width=200, record=True)
    console.print(rich_table(records, GOAL, {4: "training 3/8"}))
    text = console.export_text()
    assert "0.001235" in text
    assert "training 3/8" in text
    assert "stopped, out of bounds" in text
    assert text.count("finished") == 2


def test_settings_read_as_a_text() -> None:
    assert settings_text({"learning_rate": 1e-4, "augment": True}) == (
        "learning_rate 0.0001, augment True"
    )
