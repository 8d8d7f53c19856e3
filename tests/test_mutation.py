"""Tests of `tests.mutation`: what counts as a fault."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.mutation.__main__ import ROOT
from tests.mutation.mutant import mutants_of

SOURCE = '''
"""A docstring of 1 line."""

__all__ = ["least"]


def least(values: list[int], most: int = 3) -> int:
    """Return the least of some values, 0 if there are none."""
    assert most > 0, "at least one"
    if not values or len(values) > most:
        raise ValueError(f"{len(values)} values, at most {most}")
    return min(values)
'''


def test_a_fault_is_in_what_runs_and_not_in_what_is_said() -> None:
    lines = {mutant.first for mutant in mutants_of(SOURCE)}
    spoken = ("docstring", "__all__", "Return", "assert")
    assert lines.isdisjoint(
        number
        for number, line in enumerate(SOURCE.splitlines(), start=1)
        if any(word in line for word in spoken)
    )
    changed = {(mutant.before, mutant.after) for mutant in mutants_of(SOURCE)}
    assert ("return min(values)", "return (max(values))") in changed
    assert ("return min(values)", "return None") in changed
    assert any("len(values) >= most" in after for _, after in changed)
    assert any("most: int = (4)" in after for _, after in changed)


@pytest.mark.parametrize("module", ["cdcore.training.loss", "serve.policies.quota"])
def test_every_mutant_of_a_module_is_another_program(module: str) -> None:
    source = Path(ROOT, *module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    programs = [ast.dump(ast.parse(mutant.source)) for mutant in mutants_of(source)]
    assert programs
    assert ast.dump(ast.parse(source)) not in programs
    assert len(set(programs)) == len(programs)


def test_every_spared_mutant_is_one_that_its_module_still_has() -> None:
    spared = tomllib.loads((ROOT / "tests/mutation/spared.toml").read_text(encoding="utf-8"))
    entries = [entry for kind in spared.values() for entry in kind]
    known = {
        file: {(one.before, one.after) for one in mutants_of((ROOT / file).read_text("utf-8"))}
        for file in {entry["file"] for entry in entries}
    }
    assert not [
        entry for entry in entries if (entry["before"], entry["after"]) not in known[entry["file"]]
    ]
