import json
import os
from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import RunError
from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder, TrialFolder


def noted(trial: TrialFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trial.path / "trial.json").read_text())
    return found


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path / "mycat-sweep", "mycat")


def test_trials_are_read_back_in_their_order(folder: SweepFolder) -> None:
    assert folder.records() == []
    write_trial(folder, 10, {"seed": 1}, {})
    write_trial(folder, 2, {"seed": 0}, {5: scores(0.5), 9: scores(0.75)}, "stopped")
    two, ten = folder.records()
    assert (two.number, two.settings, two.status, two.step) == (2, {"seed": 0}, "stopped", 9)
    assert two.scores == scores(0.75)
    assert [line["step"] for line in two.history] == [5, 9]
    assert two.seconds is not None
    assert two.seconds >= 0
    assert (ten.number, ten.status, ten.step, ten.scores) == (10, "finished", 0, {})
    assert ten.run.concept_file == folder.path / "trials/010/mycat/mycat.safetensors"


def test_a_trial_whose_end_nobody_noted_is_finished_when_its_run_is(folder: SweepFolder) -> None:
    trial = folder.trial(0)
    trial.begin({"seed": 0})
    record = trial.record()
    assert record is not None
    assert (record.status, record.seconds) == ("open", None)
    trial.run.write_summary({"status": "finished"})
    # Told to stop at its last report, when it had nothing left to do.
    trial.end("stopped")
    record = trial.record()
    assert record is not None
    assert record.status == "finished"
    assert noted(trial)["status"] == "finished"


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("says_when", [True, False])
def test_a_finished_trial_has_taken_as_long_as_its_run_did(
    folder: SweepFolder, is_noted: bool, says_when: bool
) -> None:
    """A kill between a run's end and its note leaves the note to a start that comes much later."""
    trial = folder.trial(0)
    trial.begin({"seed": 0})
    ended_s = noted(trial)["started_s"] + 90
    trial.run.write_summary({"status": "finished", **({"ended_s": ended_s} if says_when else {})})
    # Runs of earlier versions wrote their summary last, and do not say when.
    os.utime(trial.run.summary_file, (ended_s, ended_s))
    if is_noted:
        trial.end("stopped")
        assert noted(trial)["ended_s"] == pytest.approx(ended_s)
    record = trial.record()
    assert record is not None
    assert record.seconds == pytest.approx(90)


def test_a_finished_run_has_not_failed_whatever_became_of_its_driver(folder: SweepFolder) -> None:
    trial = folder.trial(0)
    trial.begin({"seed": 0})
    trial.end("failed", "it was lost")
    trial.run.write_summary({"status": "finished"})
    record = trial.record()
    assert record is not None
    assert (record.status, record.error) == ("finished", "")


def test_a_trial_goes_on_with_its_own_settings_alone(folder: SweepFolder) -> None:
    folder.trial(0).begin({"learning_rate": 0.1})
    folder.trial(0).begin({"learning_rate": 0.1})
    with pytest.raises(RunError, match=r"trial 0 was begun with \{'learning_rate': 0\.1\}"):
        folder.trial(0).begin({"learning_rate": 0.2})


def test_the_first_word_on_an_end_stands_and_only_a_failed_trial_is_tried_again(
    folder: SweepFolder,
) -> None:
    trial = folder.trial(0)
    trial.begin({"seed": 0})
    trial.end("failed", "diverged")
    trial.end("stopped")
    record = trial.record()
    assert record is not None
    assert (record.status, record.error) == ("failed", "diverged")
    trial.begin({"seed": 0})
    record = trial.record()
    assert record is not None
    assert (record.status, record.error) == ("open", "")
    trial.end("stopped")
    trial.begin({"seed": 0})
    record = trial.record()
    assert record is not None
    assert record.status == "stopped"


def test_a_torn_note_is_a_trial_that_has_not_begun(folder: SweepFolder) -> None:
    write_trial(folder, 0, {"seed": 0}, {})
    note = folder.trial(0).path / "trial.json"
    note.write_bytes(note.read_bytes()[:-9])
    assert folder.records() == []


def test_a_trial_keeps_its_folder_when_a_later_start_asks_for_it_by_another_number(
    folder: SweepFolder,
) -> None:
    # Trial 1 was to begin when everything was killed; 2 had begun.
    known = {0: {"seed": 5}, 2: {"seed": 7}}
    asked = [{"seed": 5}, {"seed": 7}, {"seed": 9}, {"seed": 11}]
    assert folder.assigned("1a2b3_00001") is None
    given = [
        folder.assign(f"1a2b3_{number:05d}", settings, known)
        for number, settings in enumerate(asked)
    ]
    assert [one.number for one in given] == [0, 2, 3, 4]
    assert folder.assigned("1a2b3_00001") == given[1]


def test_two_trials_with_the_same_settings_have_a_folder_each(folder: SweepFolder) -> None:
    known = {0: {"seed": 5}, 1: {"seed": 5}}
    ids = [f"1a2b3_{number:05d}" for number in (1, 0, 2, 3)]
    given = [folder.assign(trial_id, {"seed": 5}, known).number for trial_id in ids]
    assert given == [1, 0, 2, 3]


def test_trials_whose_ids_have_no_number_are_numbered_as_they_start(folder: SweepFolder) -> None:
    known = {0: {"seed": 5}}
    asked = {"faeba0f6": {"seed": 7}, "12345678": {"seed": 5}, "0badcafe": {"seed": 9}}
    given = {one: folder.assign(one, settings, known).number for one, settings in asked.items()}
    assert given == {"faeba0f6": 1, "12345678": 0, "0badcafe": 2}
    assert folder.assigned("0badcafe") == folder.trial(2)


def test_the_settings_of_a_trial_of_an_earlier_version_are_read_by_the_names_of_now(
    folder: SweepFolder,
) -> None:
    write_trial(folder, 0, {"prior_weighting": "reference"}, {5: scores(0.5)}, "stopped")
    (record,) = folder.records()
    assert record.settings == {"prior_weighting": "four_to_one"}
    folder.trial(0).begin({"prior_weighting": "four_to_one"})
