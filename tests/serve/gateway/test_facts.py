"""Tests of `serve.gateway.facts`."""

from dataclasses import replace
from pathlib import Path

from cdcore.model.base import Base
from serve.engine.config import EngineConfig
from serve.gateway.facts import ServiceFacts


def test_a_base_is_described_without_its_path(tiny_base: Base) -> None:
    facts = ServiceFacts.of(tiny_base, EngineConfig(slots=3, sizes=((96, 64), (64, 64))))
    assert facts.base_name == Path(tiny_base.name).name
    assert facts.sizes == ((64, 64), (96, 64))
    assert facts.steps == tiny_base.profile.sampling_steps
    rows, width = tiny_base.seam.layout.shape
    assert facts.dense_bytes == 2 * rows * width
    named = ServiceFacts.of(replace(tiny_base, name="CompVis/sd"), EngineConfig())
    assert named.base_name == "CompVis/sd"
