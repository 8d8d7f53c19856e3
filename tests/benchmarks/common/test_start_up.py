"""What answers at once: no help, refused flag or early refusal of any command imports a model."""

import json
from pathlib import Path

import pytest

from benchmarks.common.start_up import (
    COMMANDS,
    HEAVY,
    StartUpBenchmark,
    imported,
    measure,
)
from cdcore.errors import ConfigError

NAMES = [" ".join(command) for command in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
@pytest.mark.parametrize(("argv", "status"), [(("--help",), 0), (("--no-such-flag", "3"), 2)])
def test_help_and_a_refused_flag_import_nothing_heavy(
    command: tuple[str, ...], argv: tuple[str, ...], status: int
) -> None:
    modules, ended, told = imported((*command, *argv))
    assert ended == status, told
    assert not HEAVY & {module.partition(".")[0] for module in modules}
    if status:
        assert told == "error: unknown option --no-such-flag"


@pytest.mark.parametrize(
    ("command", "argv"),
    [(command, argv) for command, refusals in COMMANDS.items() for argv in refusals.values()],
    ids=[f"{' '.join(name)} {what}" for name, refusals in COMMANDS.items() for what in refusals],
)
def test_words_headers_and_places_are_refused_without_a_model(
    command: tuple[str, ...], argv: tuple[str, ...]
) -> None:
    modules, status, told = imported((*command, *argv))
    assert status == 2, told
    assert told.startswith("error: ")
    assert not HEAVY & {module.partition(".")[0] for module in modules}


def test_every_script_and_every_module_that_can_be_run_is_measured() -> None:
    root = Path(__file__).resolve().parents[3]
    scripts = [path for folder in ("rayjobs", "tune") for path in (root / folder).glob("*.py")]
    known = {command[0] for command in COMMANDS}
    for path in scripts:
        if path.name != "__init__.py":
            assert path.relative_to(root).as_posix() in known


def test_figures_of_one_command_are_counted(tmp_path: Path) -> None:
    answers = measure(StartUpBenchmark(runs=1, commands=("api_keys",)))
    assert [one.line for one in answers][:2] == ["help", "refused flag"]
    assert [one.status for one in answers] == [0, 2, 2, 2, 2]
    for one in answers:
        assert one.processor_seconds > 0
        assert one.modules > 50
        assert one.heavy == ()
    json.dumps([one.line for one in answers])


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--runs is 0"):
        StartUpBenchmark(runs=0)
    with pytest.raises(ConfigError, match="expected a folder of the project"):
        StartUpBenchmark(checkout=tmp_path)
