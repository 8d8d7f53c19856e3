"""What the README shows in Python runs as it stands there."""

import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from cdcore.model.location import ALIASES
from tests.hub import lay_out
from tests.tiny import random_update

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_of_the_readme_runs(
    block: str,
    tiny_base: Base,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the README has Stable Diffusion, the local hub cache holds a tiny pipeline."""
    cache = tmp_path / "hub"
    lay_out(tiny_folder, cache, ALIASES["sd1.4"])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    made = Concept(
        name="mycat",
        update=random_update(tiny_base.seam.layout.shape),
        tokens={"<mycat>": torch.ones(tiny_base.seam.layout.text_width)},
        subjects=(Subject(class_noun="cat", token="<mycat>"),),
        base_name="sd1.4",
        base_fingerprint=tiny_base.fingerprint,
    )
    save_concept(made, tmp_path / "runs" / "mycat" / "mycat.safetensors", tiny_base)
    before = set(tmp_path.iterdir())
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    (written,) = set(tmp_path.iterdir()) - before
    with Image.open(written) as picture:
        assert picture.size == (64, 64)


def test_the_readme_shows_python() -> None:
    assert BLOCKS
    assert any("apply(pipe, " in block for block in BLOCKS)
