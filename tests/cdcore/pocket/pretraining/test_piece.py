"""Tests of `cdcore.pocket.pretraining.piece`."""

from pathlib import Path

from cdcore.pocket.pretraining.piece import PROGRESS_FILE, completed_steps


def test_a_new_base_has_no_steps_and_another_those_that_its_file_counts(tmp_path: Path) -> None:
    assert completed_steps(tmp_path) == {}
    (tmp_path / PROGRESS_FILE).write_text('{"towers": 3}')
    assert completed_steps(tmp_path) == {"towers": 3}
