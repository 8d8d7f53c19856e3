import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cdcore.concepts.storage import load_concept
from cdcore.formats.tensors.key_names import lora_modules
from cdcore.model.base import Base
from cdcore.model.families import SD1
from cdcore.model.loading import load_base
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pictures.png import SETTINGS_KEY
from cdcore.pocket.networks.judge import Judge
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from cdcore.scoring.before_after import evaluate_concept
from cdcore.scoring.targets import picture_pixels
from cdcore.training.trainer import trained_concept
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.training.finish import finish_run
from rayjobs.training.task import TrainTask
from tests.cdcore.training_case import CAT, CHAIR, config, parameters
from tests.rayjobs.train_case import write_pictures


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, tiny_base: Base) -> TrainTask:
    folder = tmp_path_factory.mktemp("finish")
    pictures = read_pictures(write_pictures(folder / "images", 8))
    return TrainTask(
        config=config(),
        base=tiny_base.name,
        pictures=[pictures[:7]],
        targets=[pictures[7:]],
        run=RunDirectory(folder / "runs" / "mycat"),
        cache=folder / "cache",
        zero_stage=0,
        checkpoint_every=5,
        sample_seeds=(4, 9),
        identity="abc",
        session="now",
        exports=("comfyui", "diffusers"),
    )


@pytest.fixture(scope="module")
def summary(task: TrainTask, tiny_base: Base) -> dict[str, Any]:
    base = replace(tiny_base, family=SD1, profile=replace(tiny_base.profile, sampling_steps=2))
    concept = trained_concept(base, task.config, parameters(base))
    return finish_run(base, concept, task, {"train": 2.0})


def test_the_summary_says_where_everything_is(task: TrainTask, summary: dict[str, Any]) -> None:
    names = ["before-after-4.png", "before-after-9.png", "inputs.png"]
    assert summary["samples"] == [str(task.run.samples / name) for name in names]
    assert all(Path(path).is_file() for path in summary["samples"])
    assert (summary["name"], summary["status"], summary["steps"]) == ("mycat", "finished", 3)
    assert summary["seconds"] == {"train": 2.0}
    assert summary["metrics"] == {}
    assert (task.run.path / "curves.png").is_file()


def test_the_concept_file_knows_how_it_was_trained(
    task: TrainTask, summary: dict[str, Any], tiny_base: Base
) -> None:
    concept = load_concept(Path(summary["concept_file"]))
    concept.check_base(tiny_base)
    assert concept.training["learning_rate"] == task.config.learning_rate
    assert concept.phrases == ("<mycat> cat",)


def test_the_files_of_other_tools_lie_beside_the_concept(
    task: TrainTask, summary: dict[str, Any], tiny_base: Base
) -> None:
    folder = task.run.path / "exports"
    assert summary["exports"] == {tool: str(folder / tool) for tool in ("comfyui", "diffusers")}
    use = (folder / "comfyui" / "USE.md").read_text()
    assert "embedding:mycat cat" in use
    weights = load_file(folder / "comfyui" / "models" / "loras" / "mycat.safetensors")
    stored = load_concept(Path(summary["concept_file"])).update.dense()
    modules = lora_modules(tiny_base.seam.layout).values()
    made = torch.cat([weights[f"{module}.diff"] for module in modules])
    assert torch.equal(made.float(), stored)


def test_the_grid_names_its_prompts_and_its_seed(task: TrainTask, summary: dict[str, Any]) -> None:
    with Image.open(task.run.samples / "before-after-9.png") as drawn:
        drawn.load()
        settings = json.loads(drawn.info[SETTINGS_KEY])
    assert "a <mycat> cat on the beach" in settings["prompts"]
    assert settings["seed"] == 9


def test_the_inputs_show_a_row_for_each_picture(task: TrainTask, summary: dict[str, Any]) -> None:
    assert len(task.pictures[0]) == 7
    with Image.open(task.run.samples / "inputs.png") as drawn:
        # Seven rows of a crop and two variants, all of one size, and labels at the side.
        assert 0.4 < drawn.width / drawn.height < 0.7


def test_a_joint_run_shows_each_subject_and_both_together(
    task: TrainTask, tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(subjects=(CAT, CHAIR), name="both")
    joint = replace(
        task,
        config=settings,
        pictures=[task.pictures[0][:2], task.pictures[0][2:5]],
        targets=[task.pictures[0][:2], task.targets[0]],
        run=RunDirectory(tmp_path / "both"),
        sample_seeds=(4,),
    )
    phases: list[str] = []
    monkeypatch.setattr(RunDirectory, "write_phase", lambda _, phase, *__: phases.append(phase))
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=1))
    concept = trained_concept(base, settings, parameters(base, settings=settings))
    summary = finish_run(base, concept, joint, {})
    assert [Path(path).name for path in summary["samples"]] == [
        "before-after-1-mycat-cat-4.png",
        "before-after-2-mychair-chair-4.png",
        "before-after-3-mycat-cat-and-mychair-chair-4.png",
        "inputs.png",
    ]
    assert phases == [
        "sampling <mycat> cat",
        "sampling <mychair> chair",
        "sampling <mycat> cat and <mychair> chair",
    ]
    read = load_concept(Path(summary["concept_file"]))
    assert read.phrases == ("<mycat> cat", "<mychair> chair")
    assert list(read.tokens) == ["<mycat>", "<mychair>"]
    with Image.open(summary["samples"][2]) as drawn:
        prompts = json.loads(drawn.info[SETTINGS_KEY])["prompts"]
    assert prompts[0] == "a <mycat> cat next to a <mychair> chair"


def test_a_self_trained_base_is_scored_by_its_own_judge(
    task: TrainTask, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "own")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        Judge.untrained(build_tokenizer(words()), layers=1).save(tmp_path / "own" / "judge")
    base = load_base(str(tmp_path / "own"))
    base = replace(base, profile=replace(base.profile, sampling_steps=1))
    concept = trained_concept(base, task.config, parameters(base))
    own_run = replace(
        task, run=RunDirectory(tmp_path / "run"), exports=(), base=base.name, sample_seeds=(4,)
    )
    summary = finish_run(base, concept, own_run, {})
    expected = evaluate_concept(
        base,
        concept,
        picture_pixels(base, task.targets[0]),
        embedder=Judge.load(tmp_path / "own" / "judge"),
        seeds=(4,),
    )
    assert summary["metrics"] == expected.metrics
