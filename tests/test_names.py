"""Names as people have them, in every command: at home, not UTF-8, and longer than a disk takes."""

import os
from pathlib import Path
from typing import Any

import pytest

from cdcore.command_line.fields import Setting, settings_of
from cdcore.errors import ConfigError
from cdcore.pocket.__main__ import PieceJob
from rayjobs.config.conversion import ConvertJob
from rayjobs.config.evaluation import EvaluateJob
from rayjobs.config.file_compression import CompressJob
from rayjobs.config.merging import MergeJob
from rayjobs.config.pretraining import PretrainJob
from rayjobs.config.sampling import SampleJob
from rayjobs.config.training import TrainJob
from rayjobs.pocket_set import PocketSetJob
from serve.__main__ import service_flags
from serve.api_keys import KeyJob
from tune.plan.job import SweepJob

JOBS = (
    *(TrainJob, SampleJob, MergeJob, ConvertJob, CompressJob, EvaluateJob, PretrainJob),
    *(PocketSetJob, SweepJob, KeyJob, PieceJob),
)
COMMANDS: dict[str, dict[str, Setting]] = {
    **{job.__name__: settings_of(job) for job in JOBS},
    "serve": service_flags(),
}
PATHS = {
    *("images", "output", "cache", "registry", "base", "prompts", "captions", "source", "dataset"),
    *("clip", "dino", "file", "keys", "regularization"),
}
"""Every setting that is a path or may be one, in whichever command it is."""
OF_PATHS = [
    (command, name)
    for command, settings in COMMANDS.items()
    for name, setting in settings.items()
    # Of an evaluation, prompts are a number.
    if name in PATHS and setting.metavar != "INT"
]


def test_every_setting_that_is_a_path_is_among_these() -> None:
    others = {
        name: setting
        for settings in COMMANDS.values()
        for name, setting in settings.items()
        if setting.metavar == "PATH" and name not in PATHS
    }
    # Of an evaluation it is a folder, of other commands files with weights, or entries.
    assert set(others) == {"concepts"}


@pytest.mark.parametrize(("command", "name"), OF_PATHS)
def test_a_path_begins_at_home_in_every_command(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    setting = COMMANDS[command][name]
    for text in ("~/x", "$HOME/x", "${HOME}/x"):
        assert str(setting.converted(text, setting.flag)) == "/home/me/x"
    assert str(setting.converted(os.fsdecode(b"caf\xe9"), setting.flag)) == "caf\udce9"
    with pytest.raises(ConfigError, match=f"^{setting.flag}: ~no-such-user/x: there is no user"):
        setting.converted("~no-such-user/x", setting.flag)
    if setting.metavar == "PATH":
        with pytest.raises(ConfigError, match=f"^{setting.flag}: the name x+... has 256 bytes"):
            setting.converted("x" * 256, setting.flag)
    else:
        assert setting.converted("s3://bucket/~/x%20y", setting.flag) == "s3://bucket/~/x%20y"


@pytest.mark.parametrize(
    ("command", "given", "wanted"),
    [
        ("SampleJob", ["~/a.safetensors:0.5"], ("/home/me/a.safetensors:0.5",)),
        ("MergeJob", ["$HOME/a.safetensors"], ("/home/me/a.safetensors",)),
        ("EvaluateJob", "~/concepts", Path("/home/me/concepts")),
    ],
)
def test_concepts_begin_at_home_with_their_weights(
    command: str, given: Any, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert COMMANDS[command]["concepts"].converted(given, "--concepts") == wanted
    for job in ("TrainJob", "SweepJob"):
        (source,) = COMMANDS[job]["concepts"].converted(["images=~/tom,class_noun=cat"], "x")
        assert source.images == Path("/home/me/tom")
