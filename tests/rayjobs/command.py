"""Running a script of this package in this process, as its command line would."""

import sys
from types import ModuleType

import pytest

from cdcore.command_line.parser import run_command


def command(monkeypatch: pytest.MonkeyPatch, script: ModuleType, *argv: object) -> int:
    """Run the ``main`` of a script with arguments; return the exit status."""
    name = f"{script.__name__.rpartition('.')[2]}.py"
    monkeypatch.setattr(sys, "argv", [name, *map(str, argv)])
    with pytest.raises(SystemExit) as caught:
        run_command(script.main)
    assert isinstance(caught.value.code, int)
    return caught.value.code
