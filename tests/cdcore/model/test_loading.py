"""Tests of `cdcore.model.loading`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils import logging as diffusers_logging
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from cdcore.errors import BaseModelError
from cdcore.model.base import Base
from cdcore.model.base_files import local_base
from cdcore.model.loading import load_base, load_local_base
from cdcore.model.location import ALIASES
from tests.hub import hub_environment, lay_out
from tests.small_families import FamilyName


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


WEIGHTS = "diffusion_pytorch_model.safetensors"


def _set(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def test_nothing_of_a_base_can_be_trained(tiny_base: Base) -> None:
    for module in (tiny_base.seam.unet, tiny_base.autoencoder, tiny_base.text_encoder.model):
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())


def test_the_noise_schedule_is_the_scheduler_s(tiny_base: Base) -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    expected = torch.cumprod(1 - betas, dim=0)
    torch.testing.assert_close(
        tiny_base.noise_schedule.alphas_cumprod, expected, rtol=1e-5, atol=1e-6
    )
    assert tiny_base.noise_schedule.prediction_type == "epsilon"


def test_the_side_of_a_latent_does_not_change_the_family(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path, dirs_exist_ok=True)
    _set(tmp_path / "unet" / "config.json", sample_size=64)
    base = load_base(str(tmp_path))
    assert base.is_pocket
    assert base.latent_shape == (4, 8, 8)


def test_loading_says_nothing_on_the_terminal(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # Another test, or the user's program, may have let the libraries speak.
    level = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_info()
    try:
        load_base(str(tiny_folder))
    finally:
        diffusers_logging.set_verbosity(level)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


def test_bars_that_were_off_stay_off(tiny_folder: Path) -> None:
    disable_progress_bars()
    try:
        load_base(str(tiny_folder))
        assert are_progress_bars_disabled()
    finally:
        enable_progress_bars()


@pytest.mark.parametrize("name", ["", "no/such/base/anywhere", "nobody/nothing", *ALIASES])
def test_a_base_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(BaseModelError, match="expected 'pocket'") as caught:
        load_base(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no tokenizer": lambda folder: shutil.rmtree(folder / "tokenizer"),
    "no text encoder": lambda folder: shutil.rmtree(folder / "text_encoder"),
    "no scheduler": lambda folder: shutil.rmtree(folder / "scheduler"),
    "no weights": lambda folder: (folder / "unet" / WEIGHTS).unlink(),
    "empty weights": lambda folder: (folder / "unet" / WEIGHTS).write_bytes(b""),
    "truncated weights": lambda folder: _truncate(folder / "vae" / WEIGHTS),
    "truncated text weights": lambda folder: _truncate(
        folder / "text_encoder" / "model.safetensors"
    ),
    "broken description": lambda folder: (folder / "unet" / "config.json").write_text("{"),
    "other width": lambda folder: _set(folder / "unet" / "config.json", cross_attention_dim=64),
    "other text width": lambda folder: _set(
        folder / "text_encoder" / "config.json", hidden_size=64
    ),
    "unknown betas": lambda folder: _set(
        folder / "scheduler" / "scheduler_config.json", beta_schedule="steep"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_folder_is_refused_in_one_line(
    tiny_folder: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_folder, folder)
    damage(folder)
    with pytest.raises(BaseModelError, match="damaged") as caught:
        load_base(str(folder))
    assert "\n" not in str(caught.value)


OFFLINE = """
import socket, sys

def refuse(*_, **__):
    sys.exit("asked the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from cdcore.model.loading import load_base
base = load_base("sd1.4")
print(base.name, base.fingerprint)
"""


def test_a_base_in_the_local_cache_is_loaded_without_a_request(
    tiny_base: Base, tiny_folder: Path, tmp_path: Path
) -> None:
    lay_out(tiny_folder, tmp_path, ALIASES["sd1.4"])
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        cwd=Path(__file__).resolve().parents[3],
        env=hub_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["sd1.4", tiny_base.fingerprint]


def test_a_missing_pocket_base_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdcore.model.loading.POCKET_FOLDER", tmp_path / "weights")
    with pytest.raises(BaseModelError, match=r"rayjobs/pretrain\.py --output"):
        load_base("pocket")


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_folder_with_weights_in_half_precision_alone_is_the_same_base(
    small_folder: Callable[[FamilyName], Path],
    small_base: Callable[[FamilyName], Base],
    tmp_path: Path,
    family: FamilyName,
) -> None:
    from diffusers import DiffusionPipeline

    pipeline: Any = DiffusionPipeline.from_pretrained(small_folder(family), dtype=torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    weights = list(tmp_path.rglob("*.safetensors"))
    assert all(path.name.endswith(".fp16.safetensors") for path in weights)
    base, expected = load_base(str(tmp_path)), small_base(family)
    assert base.fingerprint == expected.fingerprint
    assert base.autoencoder_fingerprint == expected.autoencoder_fingerprint
    assert base.seam.dtype == base.autoencoder.dtype == torch.float32
    files = local_base(str(tmp_path))
    assert (files.stack_rows, files.text_width) == expected.seam.layout.shape
