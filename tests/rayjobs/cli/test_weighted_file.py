"""Tests of `rayjobs.cli.weighted_file`."""

from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from rayjobs.cli.weighted_file import weighted_file, weighted_files


def test_a_file_may_have_a_weight_and_a_colon_in_its_path(tmp_path: Path) -> None:
    odd = tmp_path / "a:2"
    odd.touch()
    assert weighted_file("a.safetensors") == (Path("a.safetensors"), 1.0)
    assert weighted_file("a.safetensors:-0.5") == (Path("a.safetensors"), -0.5)
    assert weighted_file("b:c/a.safetensors") == (Path("b:c/a.safetensors"), 1.0)
    assert weighted_file(str(odd)) == (odd, 1.0)
    assert weighted_file(f"{odd}:3") == (odd, 3.0)


@pytest.mark.parametrize("weight", ["", "heavy", "nan", "inf", "1e30", "-4.1"])
def test_a_weight_is_a_number_of_ordinary_size(weight: str) -> None:
    with pytest.raises(ConfigError, match="expected a number"):
        weighted_file(f"a.safetensors:{weight}")


def test_no_file_may_be_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("a")
    assert weighted_files(["a", "b:0.5"]) == [(Path("a"), 1.0), (Path("b"), 0.5)]
    for again in ("a", "a:0.5", str(tmp_path / "a"), "link"):
        with pytest.raises(ConfigError, match="is given twice; give it once, with the sum of its"):
            weighted_files(["a", "b", again])
