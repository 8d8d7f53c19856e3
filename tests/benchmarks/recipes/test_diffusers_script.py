"""Tests of `benchmarks.recipes.diffusers_script`: a script with the same flags and a known time."""

import importlib.util
import time
from pathlib import Path

import pytest

from benchmarks.recipes.diffusers_script import measure_peer_script
from cdcore.errors import ConfigError
from tests.benchmarks.case import case

# The peer itself needs torchvision, which this project does not.
SCRIPT = """
import argparse, sys, time
from pathlib import Path
from tqdm import tqdm
parser = argparse.ArgumentParser()
for name in ("instance_prompt", "class_prompt", "modifier_token", "initializer_token",
             "pretrained_model_name_or_path", "mixed_precision", "output_dir"):
    parser.add_argument("--" + name, required=True)
for name in ("instance_data_dir", "class_data_dir"):
    parser.add_argument("--" + name, type=Path, required=True)
for name in ("num_class_images", "resolution", "train_batch_size", "lr_warmup_steps",
             "max_train_steps", "checkpointing_steps", "seed"):
    parser.add_argument("--" + name, type=int, required=True)
parser.add_argument("--learning_rate", type=float, required=True)
for name in ("with_prior_preservation", "hflip", "no_safe_serialization"):
    parser.add_argument("--" + name, action="store_true")
args = parser.parse_args()
assert len(list(args.instance_data_dir.iterdir())) == 3
assert len(list(args.class_data_dir.iterdir())) == args.num_class_images == 2
assert args.train_batch_size == 4 and args.resolution == 64
assert args.instance_prompt == "photo of a <mycat> cat"
assert (Path(args.pretrained_model_name_or_path) / "model_index.json").is_file()
time.sleep(1)
for step in tqdm(range(args.max_train_steps), desc="Steps"):
    time.sleep(0.2)
time.sleep(1)
"""


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that torchvision is there."""
    found = importlib.util.find_spec("torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)


@pytest.mark.usefixtures("torchvision")
def test_its_steps_are_timed_and_nothing_else(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    script = tmp_path / "peer.py"
    script.write_text(SCRIPT)
    base = made.load_base()
    started = time.monotonic()
    seconds = measure_peer_script(script, made, base, steps=6)
    # However slow the machine is, all of it took two seconds more than the steps.
    assert 0.15 < seconds < (time.monotonic() - started - 2) / 3


@pytest.mark.usefixtures("torchvision")
def test_a_script_without_a_progress_bar_cannot_be_timed(
    judged_folder: Path, tmp_path: Path
) -> None:
    made = case(tmp_path, judged_folder)
    script = tmp_path / "peer.py"
    script.write_text("")
    with pytest.raises(ConfigError, match="no progress bar"):
        measure_peer_script(script, made, made.load_base(), steps=4)


@pytest.mark.usefixtures("torchvision")
def test_a_failing_script_is_reported_in_its_last_line(judged_folder: Path, tmp_path: Path) -> None:
    made = case(tmp_path, judged_folder)
    script = tmp_path / "peer.py"
    script.write_text("raise SystemExit('no such option')")
    with pytest.raises(ConfigError, match="--peer-script failed: no such option"):
        measure_peer_script(script, made, made.load_base(), steps=4)


def test_what_is_missing_is_named(
    judged_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = case(tmp_path, judged_folder)
    base = made.load_base()
    with pytest.raises(ConfigError, match="no such file"):
        measure_peer_script(tmp_path / "peer.py", made, base, steps=4)
    (tmp_path / "peer.py").write_text("")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="torchvision"):
        measure_peer_script(tmp_path / "peer.py", made, base, steps=4)
