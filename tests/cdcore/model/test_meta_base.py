from pathlib import Path

import pytest

from cdcore.errors import BaseModelError
from cdcore.model.base import Base
from cdcore.model.meta_base import outline_base


def test_an_outline_has_the_shapes_and_the_words_of_its_base(
    tiny_base: Base, tiny_folder: Path
) -> None:
    outline = outline_base(str(tiny_folder))
    assert outline.device.type == "meta"
    assert outline.seam.layout == tiny_base.seam.layout
    assert outline.profile is tiny_base.profile
    assert outline.latent_shape == tiny_base.latent_shape
    assert outline.text_encoder.word_ids("cat") == tiny_base.text_encoder.word_ids("cat")
    for ours, theirs in (
        (outline.seam.unet, tiny_base.seam.unet),
        (outline.text_encoder.model, tiny_base.text_encoder.model),
        (outline.autoencoder, tiny_base.autoencoder),
    ):
        shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
        assert shapes == {name: tensor.shape for name, tensor in theirs.state_dict().items()}
        assert all(tensor.is_meta for tensor in ours.parameters())


@pytest.mark.parametrize("name", ["/no/such/folder", "no-such-base", "a/b/c", ""])
def test_what_is_no_base_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(BaseModelError, match="cannot be read") as caught:
        outline_base(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_part_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    for part in ("tokenizer", "text_encoder", "scheduler", "vae"):
        (tmp_path / part).symlink_to(tiny_folder / part)
    with pytest.raises(BaseModelError, match=r"unet has no config\.json"):
        outline_base(str(tmp_path))
