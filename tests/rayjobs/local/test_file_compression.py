"""Tests of `rayjobs.local.file_compression`."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.storage import load_concept
from cdcore.model.update import FactoredUpdate
from rayjobs import compress
from tests.cdcore.concepts.test_stored_tensors import changed_copy, with_value
from tests.rayjobs.command import command
from tests.tiny import factors_of


def _difference(path: Path, other: Path) -> float:
    before, after = load_concept(path).update.dense(), load_concept(other).update.dense()
    return float((before - after).norm() / before.norm())


def test_the_table_says_what_each_matrix_lost(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = tmp_path / "small.safetensors"
    assert command(monkeypatch, compress, concept_file, small, "--energy", "0.8") == 0
    out = capsys.readouterr().out
    made = load_concept(small)
    assert made.name == "small"
    assert made.phrases == load_concept(concept_file).phrases
    assert isinstance(made.update, FactoredUpdate)
    for line in ("attn2.to_k", "attn2.to_v", f"-> {small.stat().st_size / 1e6:.2f} MB: {small}"):
        assert line in out
    error = _difference(concept_file, small)
    assert f"error of the whole stack: {error:.2%}" in out
    assert made.training["compression"]["rule"] == "energy"
    assert made.training["compression"]["error"] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(
    ("scope", "megabytes"), [("matrix", 0.02), ("matrix", 0.025), ("stack", 0.02)]
)
def test_a_file_is_as_large_as_asked_at_most(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scope: str,
    megabytes: float,
) -> None:
    small = tmp_path / "small.safetensors"
    argv = ("--source", concept_file, "--output", small, "--size", megabytes, "--scope", scope)
    assert command(monkeypatch, compress, *argv) == 0
    assert megabytes * 1e6 - 4000 < small.stat().st_size <= megabytes * 1e6


def test_the_whole_stack_may_share_one_pair(
    concept_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = []
    for rank in (2, 8, 32):
        small = tmp_path / f"rank-{rank}.safetensors"
        argv = (concept_file, small, "--rank", rank, "--scope", "stack")
        assert command(monkeypatch, compress, *argv) == 0
        ((left, _),) = factors_of(load_concept(small).update)
        assert left.shape[1] == rank
        errors.append(_difference(concept_file, small))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 2e-3


def test_a_damaged_file_is_refused_in_one_line_and_nothing_is_written(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weight = load_file(concept_file)["update.weight"]
    for tensors, message in (
        (
            {"update.weight": with_value(weight, torch.nan)},
            "update.weight holds values that are no",
        ),
        ({"unet.to_q.weight": torch.zeros(2, 2)}, "more than keys and values (unet.to_q.weight)"),
    ):
        source = changed_copy(concept_file, tmp_path / "damaged.safetensors", tensors)
        assert (
            command(monkeypatch, compress, source, tmp_path / "out.safetensors", "--rank", "2") == 2
        )
        error = capsys.readouterr().err
        assert error.startswith(f"error: {source}: ")
        assert error.count("\n") == 1
        assert message in error
        assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "small.safetensors"
    output.mkdir()
    argv = (concept_file, output, "--rank", "2")
    assert command(monkeypatch, compress, *argv, "--overwrite") == 2
    assert (
        capsys.readouterr().err == f"error: --output: {output} is a folder; choose another name\n"
    )
    output.rmdir()
    output.write_text("kept")
    assert command(monkeypatch, compress, *argv) == 2
    assert "exists; choose another, or give --overwrite" in capsys.readouterr().err
    assert output.read_text() == "kept"
    assert command(monkeypatch, compress, *argv, "--overwrite") == 0
    assert output.stat().st_size > 1000
