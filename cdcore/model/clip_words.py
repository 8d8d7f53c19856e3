"""The words of CLIP, which no checkpoint in one file has: where they lie on this machine.

Every Stable Diffusion reads with the same vocabulary, so that of any base in the local hub cache
does, and a folder ``tokenizer`` beside the checkpoint.
"""

from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

__all__ = ["words_folder"]

_SOURCE = "openai/clip-vit-large-patch14"
_FILES = ("vocab.json", "merges.txt")
_COMMAND = f"hf download {_SOURCE} {' '.join(_FILES)}"
_WHERE = (
    (_SOURCE, "."),
    ("CompVis/stable-diffusion-v1-4", "tokenizer"),
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "tokenizer"),
    ("stabilityai/stable-diffusion-xl-base-1.0", "tokenizer"),
)
"""Repositories with the vocabulary, and the folder in each that holds it."""


def words_folder(checkpoint: Path) -> Path:
    """Return a folder with CLIP's ``vocab.json`` and ``merges.txt``.

    Args:
        checkpoint: The path of the checkpoint that has no words of its own.

    Raises:
        FileNotFoundError: They lie nowhere and cannot be fetched; says how to fetch them.
    """
    beside = checkpoint.parent / "tokenizer"
    if _has_words(beside):
        return beside
    for repository, folder in _WHERE:
        try:
            found = Path(snapshot_download(repository, allow_patterns=[], local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        if _has_words(found / folder):
            return found / folder
    return _fetched()


def _fetched() -> Path:
    reason = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            folder = Path(snapshot_download(_SOURCE, allow_patterns=list(_FILES)))
            if _has_words(folder):
                return folder
            reason = "the hub gave none"
        # The hub's client lets errors of its web library through, which are of many families.
        except Exception as error:
            reason = f"they cannot be fetched ({type(error).__name__})"
    raise FileNotFoundError(
        "a checkpoint in one file has no words of CLIP, there are none in the local hub cache "
        f"({constants.HF_HUB_CACHE}), and {reason}; fetch them with '{_COMMAND}', or put them into "
        "a folder 'tokenizer' beside the checkpoint"
    )


def _has_words(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)
