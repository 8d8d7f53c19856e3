"""Tests of `cdcore.model.configuration`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cdcore.model.base import Base
from cdcore.model.configuration import read_configuration
from cdcore.model.location import POCKET_FOLDER
from tests.small_families import FamilyName


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_it_says_what_the_loaded_base_is(
    small_folder: Callable[[FamilyName], Path],
    small_base: Callable[[FamilyName], Base],
    family: FamilyName,
) -> None:
    read, base = read_configuration(small_folder(family)), small_base(family)
    assert read.family is base.family
    assert read.family.name == family
    assert read.profile == base.profile
    assert read.profile.resolution == 64
    assert len(read.texts) == len(base.text_encoder.models)
    assert read.zeroes_empty_negatives is base.zeroes_empty_negatives is (family == "sdxl")


def test_an_sdxl_may_say_that_it_leads_away_from_the_empty_text(
    small_folder: Callable[[FamilyName], Path], tmp_path: Path
) -> None:
    shutil.copytree(small_folder("sdxl"), tmp_path, dirs_exist_ok=True)
    index = tmp_path / "model_index.json"
    described = json.loads(index.read_text()) | {"force_zeros_for_empty_prompt": False}
    index.write_text(json.dumps(described))
    assert not read_configuration(tmp_path).zeroes_empty_negatives
    index.unlink()
    assert read_configuration(tmp_path).zeroes_empty_negatives


def test_the_pocket_is_a_pocket() -> None:
    assert read_configuration(POCKET_FOLDER).family.name == "pocket"


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_file_that_says_nothing_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(text, encoding="latin-1")
    read = read_configuration(tmp_path)
    assert not any(read.values())
    assert read.texts == ()
