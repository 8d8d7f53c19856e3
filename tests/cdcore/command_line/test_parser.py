import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from cdcore.command_line.parser import parse, run_command
from cdcore.errors import ConfigError, PictureError


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job."""

    images: Path | None
    """Folder of 4 to 20 pictures."""
    class_noun: str | None
    """What kind of thing it is, "cat" 100% of the time."""
    steps: int | None = None
    """Optimiser steps; unset, the base decides."""
    rate: float = 8e-5
    """Of all that trains."""
    sampler: Literal["ddim", "dpm++"] = "ddim"
    """Solver."""
    prompts: tuple[str, ...] = ("a cat",)
    """Prompts to watch."""
    augment: bool = True
    """Vary size and place."""
    other_base: bool = False
    """Allow another base."""
    token: str | None = None
    """Word for it."""

    def __post_init__(self) -> None:
        """Refuse no steps."""
        if self.steps == 0:
            raise ConfigError("steps is 0, expected 1 or more")


REQUIRED_FLAGS = ("--images", "pictures", "--class-noun", "cat")


def _parse(argv: Sequence[str], **options: Any) -> Job:
    return parse(Job, argv, prog="job.py", description="Do it.", **options)


def test_leading_words_may_go_without_their_flags() -> None:
    both = _parse(["pictures", "cat", "--steps", "3"], leading=("images", "class_noun"))
    assert both == _parse([*REQUIRED_FLAGS, "--steps", "3"])
    argv = ["pictures", "--class-noun", "cat"]
    assert _parse(argv, leading=("images", "class_noun")) == _parse(REQUIRED_FLAGS)
    with pytest.raises(ConfigError, match="unknown argument more"):
        _parse(["pictures", "cat", "more"], leading=("images", "class_noun"))
    with pytest.raises(ConfigError, match="--class-noun must be given"):
        _parse(["pictures"], leading=("images", "class_noun"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("images: from-file\nclass_noun: dog\nsteps: 7\nother_base: true\n")
    return path


def test_flags_fill_the_configuration_and_defaults_the_rest() -> None:
    argv = [*REQUIRED_FLAGS, "--steps", "-3", "--rate=1e-3", "--no-augment", "--sampler", "dpm++"]
    assert _parse([*argv, "--prompts", "a dog", "b"]) == Job(
        images=Path("pictures"),
        class_noun="cat",
        steps=-3,
        rate=1e-3,
        augment=False,
        sampler="dpm++",
        prompts=("a dog", "b"),
    )


def test_the_process_s_own_arguments_are_taken_when_none_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["job.py", *REQUIRED_FLAGS])
    assert parse(Job, prog="job.py", description="").class_noun == "cat"


@pytest.mark.parametrize("position", [0, 2])
def test_a_file_wins_over_defaults_and_a_flag_over_the_file_wherever_they_stand(
    position: int, file: Path
) -> None:
    argv = ["--class-noun", "toad", "--no-other-base"]
    argv[position:position] = ["--config", str(file)]
    job = _parse(argv)
    assert job == Job(images=file.parent / "from-file", class_noun="toad", steps=7)


def test_a_file_and_a_path_in_it_may_lie_in_the_home_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    file.write_text("images: ~/pictures\nclass_noun: dog\n")
    for argv in (["--config=~/job.yaml"], ["--config", "${HOME}/job.yaml"]):
        assert _parse(argv).images == file.parent / "pictures"
    assert _parse(["--images=~/x", "--class-noun=~/x"]).images == file.parent / "x"
    assert _parse(["--images=x", "--class-noun=~/x"]).class_noun == "~/x"


def test_what_standard_output_cannot_hold_is_written_with_a_backslash() -> None:
    script = (
        "import sys; from cdcore.command_line.parser import run_command\n"
        "run_command(lambda: sys.stdout.write('a\\udcff\\n') and None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\\udcff\n", b"")


def test_none_unsets_what_the_file_sets(file: Path) -> None:
    assert _parse(["--config", str(file), "--steps", "none"]).steps is None


def test_none_as_a_text_is_a_text() -> None:
    assert _parse([*REQUIRED_FLAGS, "--token", "none"]).token == "none"


def test_the_default_file_is_taken_only_while_nothing_required_is_given(file: Path) -> None:
    assert _parse([], default_file=file).class_noun == "dog"
    assert _parse(["--steps", "9"], default_file=file).steps == 9
    assert _parse([*REQUIRED_FLAGS], default_file=file).steps is None
    with pytest.raises(ConfigError, match="--class-noun must be given"):
        _parse(["--images=x"], default_file=file)


def test_a_setting_may_stand_in_for_required_ones(file: Path) -> None:
    options: dict[str, Any] = {"stand_ins": {"prompts": ("images", "class_noun")}}
    alone = _parse(["--prompts", "a dog"], **options)
    assert (alone.images, alone.class_noun, alone.prompts) == (None, None, ("a dog",))
    beside = _parse(["--prompts", "a dog", "--class-noun", "dog"], **options)
    assert (beside.images, beside.class_noun) == (None, "dog")
    with pytest.raises(ConfigError, match="--images and --class-noun must be given"):
        _parse(["--prompts"], **options)
    assert _parse(["--prompts", "x"], **options, default_file=file).class_noun is None
    assert _parse(["--steps", "3"], **options, default_file=file).class_noun == "dog"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "--images and --class-noun must be given"),
        ((*REQUIRED_FLAGS, "--stepz", "3"), "unknown option --stepz; did you mean --steps?"),
        (("--image", "x"), "unknown option --image; did you mean --images?"),
        (("--confg", "x"), "unknown option --confg; did you mean --config?"),
        ((*REQUIRED_FLAGS, "--qqq=4"), "unknown option --qqq"),
        (("stray", *REQUIRED_FLAGS), "unknown argument stray"),
        ((*REQUIRED_FLAGS, "--steps", "three"), "--steps is 'three', expected a whole number"),
        ((*REQUIRED_FLAGS, "--sampler", "euler"), "expected one of ddim, dpm++"),
        ((*REQUIRED_FLAGS, "--rate", "none"), "--rate is 'none', expected a number"),
        (("--images", "", "--class-noun", "cat"), "--images is '', expected a path"),
        ((*REQUIRED_FLAGS, "--steps"), "Missing value for argument '--steps'"),
        ((*REQUIRED_FLAGS, "--steps", "0"), "steps is 0, expected 1 or more"),
        (("--config",), "--config needs"),
        (("--config", "missing.yaml"), "missing.yaml: cannot be read"),
        (("--config=",), "--config is '', expected a path"),
        (("--config=~no-such-user/x",), "--config: ~no-such-user/x: there is no user's home"),
        ((*REQUIRED_FLAGS, "--token", "\udcff"), "--token is '\\udcff', expected text in UTF-8"),
    ],
)
def test_bad_arguments_are_one_error_that_names_them(
    argv: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        _parse(argv)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


def _help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, **options: Any
) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        _parse(["--help"], **options)
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_the_help_has_every_flag_its_text_and_its_default_within_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    text = _help(capsys, monkeypatch, groups={"training": ("steps", "rate")}, default_file=file)
    for part in (
        *("Do it.", "--config PATH", "--images PATH ", "--class-noun TEXT", "--steps INT"),
        *("--rate FLOAT", "--sampler {ddim,dpm++}", "--prompts TEXT [TEXT ...]", "--augment"),
        *('"cat" 100% of the time. (required)', "(default: 8e-05)", "(default: 'a cat')"),
        *("(default: on)", "training options", file.name),
    ):
        assert part in text
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.index("--other-base") < text.index("training options") < text.index("--steps")


def test_the_help_shows_what_a_file_sets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        _parse(["--config", str(file), "--help"])
    text = capsys.readouterr().out
    assert "(default: dog)" in text
    assert "--steps INT|none" in text


def _raise(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (PictureError("x.png: no picture"), 2, "error: x.png: no picture\n"),
        (ConfigError("two\nlines\udcff"), 2, "error: two\\nlines\\udcff\n"),
        (
            PermissionError(13, "Permission denied", "/a\nb"),
            2,
            "error: /a\\nb: Permission denied\n",
        ),
        (OSError(28, "No space left on device"), 2, "error: No space left on device\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: Permission denied\n"),
        (OSError("odd"), 2, "error: odd\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            RuntimeError("Could not determine home directory."),
            2,
            "error: this user has no home: HOME is not set, and the system knows none; set HOME to "
            "a folder that the user may write\n",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_an_exit_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(_raise(error))
    assert caught.value.code == status
    assert capsys.readouterr() == ("", line)


def test_a_command_that_returns_exits_with_0() -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: None)
    assert caught.value.code == 0


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(_raise(ZeroDivisionError()))


def test_a_reader_that_leaves_causes_no_complaint() -> None:
    script = (
        "import sys; from cdcore.command_line.parser import run_command\n"
        "run_command(lambda: [sys.stdout.write('line\\n' * 100_000) for _ in range(9)] and None)"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
