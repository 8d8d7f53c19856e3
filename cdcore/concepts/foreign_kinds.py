"""What a file is that is no concept, told by the names of its tensors: other tools' files.

Kohya's, diffusers' and PEFT's LoRA, LyCORIS and textual inversions are written by this project and
not read; whole models are bases. A refusal calls each what it is.
"""

import re
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from cdcore.pictures.file_kinds import PICTURE_SUFFIXES

__all__ = ["archive_kind", "foreign_kind", "no_concept"]

_MADE_OF = "give the concept file or the delta that it was made from, or train on its pictures"
_LORA = re.compile(r"[._]lora[._](up|down|mid|a|b)\b|lora_linear_layer", re.IGNORECASE)
_LYCORIS = re.compile(
    r"\.(diff|diff_b|hada_w[12]_[ab]|hada_t[12]|lokr_(w[12](_[ab])?|t2)|oft_(blocks|diag)|[wb]_norm)$"
)
_EMBEDDING = re.compile(r"emb_params|emp_params|clip_[lg]|string_to_(param|token)|<[^<>]+>|\*")
_MODEL = re.compile(
    r"(model\.diffusion_model|first_stage_model|cond_stage_model|conditioner\.embedders"
    r"|(down_blocks|up_blocks|mid_block)[.\d]*\.(resnets|conv_norm))\."
)
_DELTA = "_custom_diffusion."
_TORCH_RECORD = "data.pkl"
"""What every zip archive that torch writes has in its one folder."""


def foreign_kind(names: Iterable[str]) -> str | None:
    """Return what kind of another tool's file has tensors of these names, and what to do with it.

    Returns:
        Such as "a LoRA, which this project writes but does not read; give ...", or None.
    """
    given = list(names)
    if any(map(_LORA.search, given)):
        return f"a LoRA, which this project writes but does not read; {_MADE_OF}"
    if any(map(_LYCORIS.search, given)):
        return f"a LyCORIS file, which this project writes but does not read; {_MADE_OF}"
    if any(_DELTA in name for name in given):
        return (
            "diffusers' Custom Diffusion weights; make a concept file of them with "
            "rayjobs/convert.py --to concept"
        )
    if any(map(_MODEL.match, given)):
        return "a whole model or its U-Net, not a concept; a base is given as --base"
    # A stray name of this kind among others says nothing.
    if given and any(map(_EMBEDDING.fullmatch, given[:2])):
        return (
            "an embedding (a textual inversion), which this project writes but does not read; "
            f"{_MADE_OF}"
        )
    return None


def archive_kind(path: Path) -> str | None:
    """Return what kind of zip archive a file is that torch has not written, and what to do with it.

    Returns:
        Such as "a zip archive of a.jpg and 11 more files; ...", or None for a file of torch, or one
        that is no whole archive.
    """
    names: list[str] = []
    with suppress(OSError, ValueError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if not names or any(PurePosixPath(name).name == _TORCH_RECORD for name in names):
        return None
    first = PurePosixPath(names[0]).name
    what = f"a zip archive of {first!r:.80}" + (
        f" and {len(names) - 1} more files" if len(names) > 1 else ""
    )
    if any(PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES for name in names):
        return f"{what}, and no concept; pictures are what rayjobs/train.py --images takes"
    return f"{what}, and no concept; unpack it, and give the file that is meant"


def no_concept(names: Iterable[str]) -> str:
    """Return what a safetensors file is that has no metadata of a concept, for a refusal."""
    kind = foreign_kind(names)
    return kind or "a safetensors file, but not a concept file of this project"
