import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cdcore.errors import RunError
from tests.cdcore.training_case import config
from tests.tune.plan.test_job import sweep
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.job import SweepJob
from tune.reporting.report import best_of, write_report


@pytest.fixture
def job(tmp_path: Path) -> SweepJob:
    return sweep(images=tmp_path, search=("learning_rate=0.001,0.002,0.004",), method="grid")


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "mycat-sweep", "mycat")


def finish(folder: SweepFolder, number: int, rate: float, image: float, drift: float) -> None:
    write_trial(folder, number, {"learning_rate": rate}, {4: scores(image, drift=drift)})
    folder.trial(number).run.write_config(asdict(config(learning_rate=rate)) | {"subjects": []})


def test_the_report_names_the_best_that_keeps_to_the_bounds(
    folder: SweepFolder, job: SweepJob
) -> None:
    finish(folder, 0, 0.001, 0.6, 0.1)
    finish(folder, 1, 0.002, 0.9, 0.5)
    write_trial(folder, 2, {"learning_rate": 0.004}, {2: scores(0.95)}, "stopped")
    summary = write_report(folder, job)
    best = summary["best"]
    assert (best["trial"], best["settings"], best["in_bounds"]) == (
        0,
        {"learning_rate": 0.001},
        True,
    )
    assert best["scores"] == scores(0.6)
    assert summary["trials"] == {"finished": 2, "stopped": 1, "failed": 0}
    assert summary["front"] == [0, 1]
    assert json.loads(json.dumps(summary)) == summary
    text = Path(summary["report"]).read_text()
    assert best["command"] in text
    assert "No trial kept to both" not in text
    for picture in ("trials.png", "best.png"):
        assert f"]({picture})" in text
    assert (folder.path / "trials.png").is_file()
    assert pq.read_table(folder.path / "trials.parquet").num_rows == 3
    assert "learning_rate: 0.001\n" in (folder.path / "best.yaml").read_text()


def test_where_none_keeps_to_the_bounds_the_nearest_is_shown_and_said_to_miss_them(
    folder: SweepFolder, job: SweepJob
) -> None:
    finish(folder, 0, 0.001, 0.6, 0.4)
    finish(folder, 1, 0.002, 0.9, 0.5)
    summary = write_report(folder, job)
    assert (summary["best"]["trial"], summary["best"]["in_bounds"]) == (0, False)
    assert "No trial kept to both" in Path(summary["report"]).read_text()


def test_a_sweep_of_which_nothing_has_finished_says_why(folder: SweepFolder, job: SweepJob) -> None:
    write_trial(folder, 0, {"learning_rate": 0.5}, {}, "failed", "the loss is nan")
    with pytest.raises(
        RunError, match="none of 1 trials has finished; the first has failed: the l"
    ):
        best_of(folder.records(), job.goal)
