"""Tests of `cdcore.model.loading`."""

from pathlib import Path

import pytest
import torch

from cdcore.errors import BaseModelError
from cdcore.model.base import Base
from cdcore.model.loading import load_local_base


def test_without_a_gpu_the_base_is_on_the_cpu_in_full_precision(
    tiny_folder: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    base = load_local_base(str(tiny_folder))
    assert base.device.type == "cpu"
    assert base.seam.dtype == torch.float32
    assert base.fingerprint == tiny_base.fingerprint


def test_a_missing_base_is_told() -> None:
    with pytest.raises(BaseModelError, match="no-such-base"):
        load_local_base("no-such-base")
