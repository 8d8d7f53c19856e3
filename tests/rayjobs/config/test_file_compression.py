"""Tests of `rayjobs.config.file_compression`."""

from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from rayjobs.config.file_compression import CompressJob


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give one of --rank or --energy"),
        ({"rank": 2, "energy": 0.5}, "2 were given"),
        ({"rank": 0}, "rank is 0, expected 1 or more"),
        ({"energy": 1.5}, "energy is 1.5, expected a share"),
        ({"mass": 0.0}, "mass is 0.0, expected a share"),
        ({"rank": 2, "output": Path("small.bin")}, "expected a name in .safetensors"),
        ({"rank": 2, "output": Path("cat.safetensors")}, "the source itself"),
    ],
)
def test_what_cannot_be_compressed_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"source": Path("cat.safetensors"), "output": Path("small.safetensors")}
    with pytest.raises(ConfigError) as caught:
        CompressJob(**settings | changes)
    assert message in str(caught.value)


def test_a_file_that_is_there_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    made = tmp_path / "small.safetensors"
    made.touch()
    with pytest.raises(ConfigError, match="give --overwrite"):
        CompressJob(source=tmp_path / "cat.safetensors", output=made, rank=2)
    assert CompressJob(source=tmp_path / "cat.safetensors", output=made, rank=2, overwrite=True)
