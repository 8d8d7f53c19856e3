import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.pocket import compression_cost as compression
from benchmarks.pocket.compression_cost import CompressionBenchmark, points, sizes
from cdcore.command_line.parser import run_command
from cdcore.concepts.storage import load_concept, save_concept
from cdcore.errors import ConfigError
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from tests.cdcore.formats.cases import make_concept
from tests.cdcore.scoring.test_before_after import Projection
from tests.rayjobs.train_case import write_pictures


@pytest.fixture
def concept_file(tiny_base: Base, tmp_path: Path) -> Path:
    made = make_concept(KVBase.of(tiny_base))
    path = tmp_path / "mycat.safetensors"
    save_concept(replace(made, base_fingerprint=tiny_base.fingerprint), path, tiny_base)
    return path


@pytest.mark.parametrize("family", PUBLISHED_FAMILIES, ids=lambda family: family.name)
def test_sizes_are_counts(family: Family) -> None:
    counted = {size.how: size for size in sizes(family.title, family.layout)}
    height, width = family.layout.shape
    dense = counted["dense"].megabytes
    assert dense * 1e6 == height * width * 2
    for share in (0.39, 0.13):
        for how in ("one pair for the stack", "each matrix"):
            found = counted[f"{share:.0%} of dense, {how}"]
            assert found.megabytes == pytest.approx(share * dense, rel=0.01)
    flat, falling = (counted[f"60 % rule, sigma_i = i^-{decay}"] for decay in ("0", "1"))
    assert flat.rank == pytest.approx(0.6 * counted["dense"].rank, rel=0.01)
    assert falling.megabytes < flat.megabytes / 5


def test_stable_diffusion_1_reaches_the_published_points() -> None:
    counted = sizes("sd1", PUBLISHED_FAMILIES[0].layout)
    assert counted[0].megabytes == pytest.approx(38.3, abs=0.1)
    assert {round(size.megabytes) for size in counted[1:5]} == {15, 5}


def test_each_point_is_scored_like_the_concept_itself(concept_file: Path, tiny_base: Base) -> None:
    base = replace(tiny_base, profile=replace(tiny_base.profile, sampling_steps=2))
    targets = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = points(base, load_concept(concept_file), targets, Projection(), (0, 1))
    assert made[0].how == "as it is"
    assert made[0].error == 0
    by_energy = [point for point in made if point.how.startswith("energy")]
    assert [point.error for point in by_energy] == sorted(point.error for point in by_energy)
    for point in made:
        assert point.image_alignment is not None
        assert point.image_spread is not None
    near, far = by_energy[0], by_energy[-1]
    assert near.image_alignment != far.image_alignment


def test_the_command_shows_and_writes_both_tables(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = write_pictures(tmp_path / "images")
    file = tmp_path / "figures.json"
    words = ["--concept", concept_file, "--images", images, "--json", file, "--quick"]
    monkeypatch.setattr(sys, "argv", ["compression.py", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        run_command(compression.main)
    assert caught.value.code == 0
    figures = json.loads(file.read_text())
    assert len(figures["sizes"]) == 24
    assert None not in {point["image_alignment"] for point in figures["points"]}
    assert "Compressions of mycat.safetensors" in capsys.readouterr().out


def test_quick_tries_one_rule(concept_file: Path, tiny_base: Base) -> None:
    made = points(tiny_base, load_concept(concept_file), None, None, (0,), most=1)
    assert [point.how for point in made] == ["as it is", "energy 0.99, matrix"]


def test_pictures_without_a_concept_are_refused() -> None:
    with pytest.raises(ConfigError, match="--images needs --concept"):
        CompressionBenchmark(images=Path("images"))
