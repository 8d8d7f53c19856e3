import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cdcore.concepts.storage import save_concept
from cdcore.model.base import Base
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pictures.png import SETTINGS_KEY
from cdcore.scoring.base_pictures import save_base_pictures
from cdcore.training.engine import ConceptParameters
from cdcore.training.trainer import trained_concept
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.task import ScorePlan
from tests.cdcore.training_case import CAT, CHAIR, config
from tests.rayjobs.train_case import train_task, write_pictures
from tests.tiny import random_update
from tune.reporting import best_grid
from tune.reporting.best_grid import Entry, draw_best


@pytest.mark.parametrize("subjects", [(CAT,), (CAT, CHAIR)])
def test_there_is_a_row_of_each_kind_for_each_subject(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subjects: tuple
) -> None:
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))
    monkeypatch.setattr(best_grid, "load_local_base", lambda *_, **__: base)
    pictures = read_pictures(write_pictures(tmp_path / "images"))
    known = tmp_path / "base.safetensors"
    task = train_task(
        tmp_path,
        config=config(subjects=subjects),
        pictures=[pictures] * len(subjects),
        targets=[pictures] * len(subjects),
        run=RunDirectory(tmp_path / "mycat-sweep"),
        scoring=ScorePlan(every=2, prompts=1, seeds=1, base_pictures=known),
    )
    save_base_pictures(
        known, base, [subject.class_noun for subject in task.config.subjects], task.sample_seeds
    )
    made = trained_concept(base, task.config, ConceptParameters.initial(base, task.config))
    sizes = []
    for count in (1, 2):
        entries = []
        for number in range(count):
            file = tmp_path / f"{number}.safetensors"
            update = random_update(base.seam.layout.shape, seed=number)
            save_concept(replace(made, update=update), file, base)
            entries.append(Entry(label=f"trial {number}", concept_file=file))
        draw_best(tmp_path / "best.png", task, entries)
        with Image.open(tmp_path / "best.png") as drawn:
            drawn.load()
            sizes.append(drawn.size)
            rows = json.loads(drawn.info[SETTINGS_KEY])["rows"]
        assert len(rows) == len(subjects) * (2 + count)
        assert rows[-1].startswith(f"trial {count - 1}")
    # One more trial is one more row for each subject, of 192 pixels and a gap.
    assert sizes[1][1] - sizes[0][1] == len(subjects) * (192 + 8)
