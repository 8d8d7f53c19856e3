"""Tests of `cdcore.model.autoencoder`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cdcore.errors import BaseModelError
from cdcore.model import checkpoint_header
from cdcore.model.loading import load_base
from tests.single_file import checkpoint_of
from tests.small_families import FamilyName

Folder = Callable[[FamilyName], Path]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def tuned(small_folder: Folder, tmp_path: Path) -> Path:
    """Another base's folder, whose autoencoder alone is another."""
    folder = tmp_path / "tuned"
    shutil.copytree(small_folder("sd1"), folder)
    path = folder / "vae" / WEIGHTS
    save_file({name: 1.1 * one for name, one in load_file(path).items()}, path)
    return folder


@pytest.mark.parametrize("source", ["base", "vae", "file", "first_stage_model."])
def test_a_tuned_autoencoder_takes_the_place_of_the_base_s_own(
    small_folder: Folder,
    tuned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    expected = load_base(str(tuned)).autoencoder_fingerprint
    monkeypatch.setattr(checkpoint_header, "CONFIGURATIONS", small_folder("sd1").parent)
    given = {"base": tuned, "vae": tuned / "vae"}.get(source, tmp_path / "vae.safetensors")
    if given.suffix:
        prefix = "first_stage_model."
        whole = checkpoint_of(tuned, "sd1")
        start = "" if source == "file" else prefix
        kept = {
            start + name.removeprefix(prefix): one
            for name, one in whole.items()
            if name.startswith(prefix)
        }
        save_file(kept, given)
    base = load_base(str(small_folder("sd1")), vae=str(given))
    own = load_base(str(small_folder("sd1")))
    assert base.autoencoder_fingerprint == expected != own.autoencoder_fingerprint
    assert base.fingerprint == own.fingerprint
    assert base.autoencoder.dtype == torch.float32


def test_an_autoencoder_of_another_family_is_refused(small_folder: Folder) -> None:
    with pytest.raises(BaseModelError, match=r"scaling factor 0\.13025, the base's own 0\.18215"):
        load_base(str(small_folder("sd1")), vae=str(small_folder("sdxl")))


def test_an_autoencoder_of_other_latents_is_refused(tuned: Path, small_folder: Folder) -> None:
    from diffusers import AutoencoderKL

    path = tuned / "vae" / "config.json"
    described = json.loads(path.read_text()) | {"latent_channels": 16}
    AutoencoderKL.from_config(described).save_pretrained(tuned / "vae")
    with pytest.raises(BaseModelError, match="channels 16, the base's own 4"):
        load_base(str(small_folder("sd1")), vae=str(tuned / "vae"))


@pytest.mark.parametrize("given", ["/no/such/folder", "no-such-vae", ""])
def test_what_is_none_is_refused_in_one_line(small_folder: Folder, given: str) -> None:
    with pytest.raises(BaseModelError, match="cannot be loaded") as caught:
        load_base(str(small_folder("sd1")), vae=given)
    assert "\n" not in str(caught.value)
