from pathlib import Path

import pytest
from PIL import Image

from tests.tune.trials import scores, write_trial
from tune.plan.folder import SweepFolder
from tune.plan.goal import Goal
from tune.plan.search_space import parse_space
from tune.reporting.chart import plot_trials

GOAL = Goal(text_floor=0.9, drift_ceiling=0.2)


@pytest.mark.parametrize(
    "texts",
    [
        ["learning_rate=log:1e-4..1e-2"],
        ["learning_rate=log:1e-4..1e-2", "seed=0,1", "augment=true,false"],
    ],
)
def test_there_is_a_panel_for_the_scores_and_one_for_each_setting(
    tmp_path: Path, texts: list[str]
) -> None:
    folder, space = SweepFolder(tmp_path, "mycat"), parse_space(texts)
    pictures = []
    for number in range(4):
        settings = {one.field: one.extremes[number % 2] for one in space}
        status = "stopped" if number == 2 else "finished"
        drift = 0.1 if number else 0.5
        write_trial(folder, number, settings, {4: scores(0.5 + number / 10, drift=drift)}, status)  # type: ignore[arg-type]
    for records in (folder.records(), folder.records()[:3]):
        path = tmp_path / "trials.png"
        plot_trials(path, records, space, GOAL)
        with Image.open(path) as image:
            pictures.append((image.size, image.tobytes()))
    assert len({size for size, _ in pictures}) == 1
    assert len({content for _, content in pictures}) == 2
    panels = 1 + len(space)
    assert pictures[0][0][0] == pytest.approx(4.6 * 110 * min(panels, 3), abs=2)


def test_a_sweep_of_which_nothing_is_known_has_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "trials.png"
    plot_trials(path, [], parse_space(["seed=0,1"]), GOAL)
    with Image.open(path) as image:
        image.load()


def test_the_floor_is_that_of_finished_trials(tmp_path: Path) -> None:
    """A trial that was stopped knows the base's text alignment on fewer prompts."""
    space, pictures = parse_space(["seed=0,1"]), []
    for base_text in (0.5, 0.3):
        folder = SweepFolder(tmp_path / str(base_text), "mycat")
        early = {**scores(0.4), "base_text_alignment": base_text}
        write_trial(folder, 0, {"seed": 0}, {2: early}, "stopped")
        write_trial(folder, 1, {"seed": 1}, {4: scores(0.5)})
        plot_trials(tmp_path / "trials.png", folder.records(), space, GOAL)
        pictures.append((tmp_path / "trials.png").read_bytes())
    assert pictures[0] == pictures[1]
