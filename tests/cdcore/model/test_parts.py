"""Tests of `cdcore.model.parts`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cdcore.errors import BaseModelError
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from tests.small_families import FamilyName

Folder = Callable[[FamilyName], Path]


def _scheduler(folder: Path, **changes: object) -> None:
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_schedule_that_ends_without_any_signal_can_be_used(
    small_folder: Folder, tmp_path: Path
) -> None:
    shutil.copytree(small_folder("sd2"), tmp_path, dirs_exist_ok=True)
    _scheduler(tmp_path, rescale_betas_zero_snr=True)
    table = load_base(str(tmp_path)).noise_schedule.alphas_cumprod
    assert table[-1] == 2.0**-24
    assert (table.diff() < 0).all()


def test_what_no_solver_knows_is_refused(small_folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(small_folder("sd1"), tmp_path, dirs_exist_ok=True)
    _scheduler(tmp_path, prediction_type="sample")
    with pytest.raises(Exception, match="prediction_type is 'sample'"):
        load_base(str(tmp_path))


def test_two_tokenizers_must_have_the_same_words(small_folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(small_folder("sdxl"), tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "tokenizer_2").iterdir():
        path.unlink()
    with pytest.raises(BaseModelError, match="is the tokenizer's folder complete"):
        load_base(str(tmp_path))


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_every_part_is_frozen(small_base: Callable[[FamilyName], Base], family: FamilyName) -> None:
    base = small_base(family)
    for module in (base.seam.unet, base.autoencoder, *base.text_encoder.models):
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
