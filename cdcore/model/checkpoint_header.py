"""What a checkpoint in one file is of, from the names and shapes in it: no values are read.

Such files have no configuration: Stable Diffusion's published ones come with this package. Each
family's text encoders have names of their own.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cdcore.errors import BaseModelError, first_line
from cdcore.model.configuration import Configuration, read_configuration
from cdcore.model.families import PUBLISHED_FAMILIES, Family
from cdcore.model.location import ALIASES
from cdcore.model.unfit_bases import check_checkpoint

__all__ = [
    "CheckpointHeader",
    "checkpoint_path",
    "is_torch_file",
    "published_folder",
    "lightning_checkpoints",
    "read_checkpoint_header",
]

CONFIGURATIONS = Path(__file__).parent / "configurations"
"""A diffusers folder without weights for each published family."""

_TEXT_ENCODERS = {
    "sdxl": "conditioner.embedders.1.model.ln_final.weight",
    "sd2": "cond_stage_model.model.ln_final.weight",
    "sd1": "cond_stage_model.transformer.text_model.final_layer_norm.weight",
}
"""A name in the files of each family that those before it lack."""

_MOST_HEADER_BYTES = 100_000_000
"""As safetensors itself allows."""
_ZIP = b"PK\x03\x04"
_LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"


class CheckpointHeader:
    """What is known of a checkpoint without its values.

    Args:
        name: What the user calls it.
        shapes: The shape of each tensor, by its name.

    Raises:
        BaseModelError: No concept can be taught to it.
    """

    def __init__(self, name: str, shapes: Mapping[str, Sequence[int]]) -> None:
        check_checkpoint(name, shapes)
        found = (family for family, key in _TEXT_ENCODERS.items() if key in shapes)
        self._family = next(found, None)
        if self._family is None:
            raise BaseModelError(
                f"base {name!r} has a U-Net but no text encoder of Stable Diffusion 1, 2 or XL; "
                "give the whole checkpoint, or a diffusers folder"
            )
        self.is_v_prediction = self.family.prediction_type == "v_prediction" or "v_pred" in shapes
        """Whether the U-Net predicts velocity: of the family, or marked as such by its trainer."""
        self.ends_in_noise = "ztsnr" in shapes
        """Whether its trainer marked its schedule to end without any signal."""

    @property
    def family(self) -> Family:
        """The family of the base."""
        return next(family for family in PUBLISHED_FAMILIES if family.name == self._family)

    @property
    def folder(self) -> Path:
        """The published configuration of the family."""
        folder = published_folder(self.family)
        assert folder is not None
        return folder

    @property
    def configuration(self) -> Configuration:
        """What the published configuration says."""
        return read_configuration(self.folder)


def checkpoint_path(name: str) -> Path | None:
    """Return the path of a base that is given as one file, or None."""
    if name == "pocket" or name in ALIASES:
        return None
    try:
        path = Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def read_checkpoint_header(name: str, path: Path) -> CheckpointHeader:
    """Read the names and shapes of a checkpoint.

    A torch file is opened by torch's weights-only unpickler, which maps its tensors and reads none.

    Raises:
        BaseModelError: The file cannot be read, or no concept can be taught to it.
    """
    return CheckpointHeader(name, _torch_shapes(name, path) or _safetensors_shapes(name, path))


def is_torch_file(path: Path) -> bool:
    """Whether a file is a torch file of today, which takes torch to look into."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def published_folder(family: Family) -> Path | None:
    """Return the configuration that a family was published with; the pocket has its own folder."""
    folder = CONFIGURATIONS / family.name
    return folder if folder.is_dir() else None


@contextmanager
def lightning_checkpoints() -> Iterator[None]:
    """Let the weights-only unpickler pass over the one class that ``sd-v1-4.ckpt`` names.

    PyTorch Lightning keeps the state of its callbacks by their class. Here a class without anything
    in it stands for that one, and none of its code is needed or run.
    """
    import torch

    inert = type("ModelCheckpoint", (), {})
    allowed: list[Any] = [(inert, _LIGHTNING)]
    with torch.serialization.safe_globals(allowed):
        yield


def _torch_shapes(name: str, path: Path) -> dict[str, Sequence[int]]:
    if not is_torch_file(path):
        return {}
    import torch

    try:
        with lightning_checkpoints():
            tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        while isinstance(tree, Mapping) and isinstance(tree.get("state_dict"), Mapping):
            tree = tree["state_dict"]
        return {
            key: tuple(tensor.shape) for key, tensor in tree.items() if hasattr(tensor, "shape")
        }
    # A hostile pickle can make the unpickler raise anything.
    except Exception as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it names {named[1]}" if named else first_line(error).split(". ")[0][:200]
        raise BaseModelError(
            f"base {name!r} is not read, because it is damaged or holds more than tensors "
            f"({reason}); give the .safetensors file of the same model"
        ) from error


def _safetensors_shapes(name: str, path: Path) -> dict[str, Sequence[int]]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(size)) if size <= _MOST_HEADER_BYTES else None
        return {key: one["shape"] for key, one in header.items() if key != "__metadata__"}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BaseModelError(
            f"base {name!r} is a file, but neither safetensors nor a torch file of today; expected "
            "a checkpoint of Stable Diffusion 1, 2 or XL in one file, or a diffusers folder"
        ) from error
