"""Tests of `serve.engine.metrics`."""

from dataclasses import replace
from pathlib import Path

from cdcore.model.base import Base
from serve.engine.metrics import figures
from tests.serve.engine_case import ALICE, BORIS, SIMPLE, FolderSource, mix, running


def test_figures_tell_what_an_engine_has_done(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    with running(tiny_base, source, tmp_path / "cache") as engine:
        request = replace(SIMPLE, mix=mix(ALICE, BORIS), seeds=(1, 2), steps=3)
        for _ in range(2):
            engine.ask(request).result(200)
        found = figures(engine)
    assert found["pictures"] == 4
    assert found["ticks"] == 6
    assert found["rows"] == 12
    assert found["blends"] == 6
    assert found["concepts_from_source"] == 2
    assert (found["prompts_hit"], found["prompts_miss"]) == (1, 1)
    assert found["merges_recent"] == 1
    assert found["merge_seconds_recent"] > 0
    assert found["leases"] == found["active_rows"] == 0
    for name in ("host_bytes", "disk_bytes", "merge_bytes", "device_bytes", "prompt_bytes"):
        assert found[name] > 0
