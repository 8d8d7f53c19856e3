"""Tests of `benchmarks.training.zero_stages`; the stages themselves are tested with the engine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.training import zero_stages
from benchmarks.training.zero_stages import run_stages
from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept, save_concept
from cdcore.errors import RunError
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate


def test_the_difference_of_a_stage_is_relative_to_the_largest_entry_of_the_first(
    monkeypatch: pytest.MonkeyPatch, tiny_base: Base, concept_file: Path
) -> None:
    taught = load_concept(concept_file)

    def leave_a_concept(command: Sequence[str]) -> None:
        given = dict(zip(command[2::2], command[3::2], strict=True))
        stage, name = int(given["--zero-stage"]), given["--name"]
        scaled = DenseUpdate(taught.update.dense() * (1 + stage / 8))
        made: Concept = replace(taught, name=name, update=scaled)
        folder = Path(given["--output"]) / name
        folder.mkdir(parents=True)
        save_concept(made, folder / f"{name}.safetensors", tiny_base)

    monkeypatch.setattr(zero_stages, "_run", leave_a_concept)
    figures = run_stages("tiny", (0, 1, 2), steps=2, workers=1)
    assert set(figures["seconds"]) == {"0", "1", "2"}
    assert figures["largest_difference"] == pytest.approx(0.25, rel=1e-3)  # stored as halves


def test_a_job_that_fails_is_reported_in_one_line() -> None:
    with pytest.raises(RunError, match=r"train\.py failed: error: workers is 0"):
        run_stages("tiny", (0,), steps=1, workers=0)
