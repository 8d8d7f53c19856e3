"""Where a base lies on disk: a folder, the local hub cache, or fetched into that cache once.

A hub repository holds far more than a base: a safety checker, other precisions, other formats. Only
the files in `FILES` are fetched (4.3 GB of Stable Diffusion 1), and pickled weights or those in
half precision only where a part has no others. What a repository is shows in its small files, which
are fetched first: what no concept can be taught to is refused before any weights. A base that is
whole in the cache is used as it is, without a request; the usual variables hold (``HF_HOME``,
``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``, ``HF_ENDPOINT``).
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.file_download import repo_folder_name

from cdcore.errors import first_line
from cdcore.model.configuration import read_configuration
from cdcore.model.unfit_bases import check_configuration

__all__ = [
    "ALIASES",
    "EXPECTED_BASES",
    "FILES",
    "HALF",
    "POCKET_FOLDER",
    "base_folder",
    "named_folder",
    "variant_of",
]

POCKET_FOLDER = Path(__file__).parents[1] / "pocket" / "weights"
"""Where the shipped pocket base lies."""

ALIASES = {
    "sd1.4": "CompVis/stable-diffusion-v1-4",
    "sd1.5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}
"""Short names of bases on the model hub."""

EXPECTED_BASES = (
    f"expected 'pocket', one of {', '.join(ALIASES)}, a diffusers folder, a checkpoint in one file "
    "(.safetensors or .ckpt) or a hub id"
)
"""What a base may be given as, for the end of an error."""

HALF = "fp16"
"""What diffusers calls the variant in half precision, and writes into the names of its files."""

_WEIGHTS = {
    "text_encoder": ("model", "pytorch_model"),
    "text_encoder_2": ("model", "pytorch_model"),
    "unet": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
    "vae": ("diffusion_pytorch_model", "diffusion_pytorch_model"),
}
"""What each part's weights are called, in safetensors and pickled, before the suffix."""

_TOKENIZERS = ("tokenizer", "tokenizer_2")
_TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.json", "merges.txt"),
    *("tokenizer_config.json", "special_tokens_map.json"),
)

_DESCRIPTION: tuple[str, ...] = (
    *(f"{tokenizer}/{name}" for tokenizer in _TOKENIZERS for name in _TOKENIZER_FILES),
    *("model_index.json", "scheduler/scheduler_config.json", "transformer/config.json"),
    *(f"{part}/config.json" for part in _WEIGHTS),
)
"""Patterns of the files that hold no weights: the words and the shapes of a base."""

FILES: tuple[str, ...] = (
    *_DESCRIPTION,
    *(
        f"{part}/{stem}{ending}"
        for part, (stem, _) in _WEIGHTS.items()
        # Whole, or in shards; in full precision: the names of others have one more word.
        for ending in (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")
    ),
)
"""Patterns of all that is fetched of a repository; pickled weights and halves only for want of
others."""


def named_folder(name: str, *, with_weights: bool = True) -> Path:
    """Return the folder that holds a base as users name it, fetching it first if need be.

    Args:
        name: ``pocket``, an alias, a diffusers folder, or a hub id.
        with_weights: False asks for the words and the shapes alone, kilobytes.

    Raises:
        FileNotFoundError: There is no such base.
        OSError: The cache cannot be written.
    """
    if name == "pocket":
        return POCKET_FOLDER
    return base_folder(ALIASES.get(name, name), with_weights=with_weights)


def base_folder(source: str, *, with_weights: bool = True) -> Path:
    """Return the folder that holds a base, fetching it first if need be.

    Processes of one node that need the same base wait for the first of them to fetch it.

    Args:
        source: A folder, or a hub id such as ``CompVis/stable-diffusion-v1-4``.
        with_weights: False asks for the words and the shapes alone, kilobytes.

    Returns:
        A folder with the subfolders tokenizer, text_encoder, unet, vae and scheduler, of SDXL also
        tokenizer_2 and text_encoder_2; of a hub id all of them are whole, a folder is returned as
        it is.

    Raises:
        BaseModelError: A hub id is of a model that no concept can be taught to.
        FileNotFoundError: It is neither, its name is not UTF-8, or a part of it can be found
            nowhere.
        OSError: The cache cannot be written.
    """
    if source and Path(source).is_dir():
        try:
            source.encode()
        except UnicodeEncodeError as error:
            raise FileNotFoundError(
                "the folder's name is not UTF-8, and the model libraries cannot read it; rename it"
            ) from error
        return Path(source)
    try:
        found = _cached(source, with_weights)
        if found is not None:
            return found
        with _alone(source):
            # Another process may have fetched it in the meantime.
            return _cached(source, with_weights) or _fetched(source, with_weights)
    except HFValidationError as error:
        raise FileNotFoundError("there is no such folder, and this is no hub id") from error


def _cached(hub_id: str, with_weights: bool) -> Path | None:
    """Return the base in the local cache, or None when it is not there or not whole."""
    try:
        # No pattern: what must be there is decided here, because there are several ways to have it.
        folder = Path(snapshot_download(hub_id, allow_patterns=[], local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if not _missing(folder, with_weights) else None


def _fetched(hub_id: str, with_weights: bool) -> Path:
    folder = _download(hub_id, _DESCRIPTION)
    check_configuration(hub_id, read_configuration(folder))
    if with_weights:
        _download(hub_id, FILES)
        for variant, is_pickled in ((None, True), (HALF, False), (HALF, True)):
            lacking = [part for part in _WEIGHTS if f"{part} weights" in _missing(folder, True)]
            if lacking:
                _download(
                    hub_id, [one for part in lacking for one in _of(part, variant, is_pickled)]
                )
    if missing := _missing(folder, with_weights):
        # The client takes what the cache has for the whole where it cannot ask the hub.
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub gave no more"
        raise FileNotFoundError(
            f"{hub_id} has no {', '.join(missing)} in the local hub cache "
            f"({constants.HF_HUB_CACHE}), and {reason}"
        )
    return folder


def _of(part: str, variant: str | None, is_pickled: bool) -> list[str]:
    """Return the patterns of a part's weights in one precision and one format."""
    stem, suffix = _WEIGHTS[part][is_pickled], ".bin" if is_pickled else ".safetensors"
    word = f".{variant}" if variant else ""
    return [
        f"{part}/{stem}{word}{suffix}",
        f"{part}/{stem}{suffix}.index{word}.json",
        # Both ways in which diffusers has named shards of a variant.
        f"{part}/{stem}{word}-*-of-*{suffix}",
        *([f"{part}/{stem}-*-of-*{word}{suffix}"] if variant else []),
    ]


def _download(hub_id: str, patterns: tuple[str, ...] | list[str]) -> Path:
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns)))
    except HFValidationError:
        raise
    # The hub's client lets errors of its web library through, which are of many families.
    except Exception as error:
        reason = first_line(error)
        raise FileNotFoundError(
            f"there is no such folder, and {hub_id} is neither in the local hub cache "
            f"({constants.HF_HUB_CACHE}) nor can it be fetched: {reason}"
        ) from error


def _missing(folder: Path, with_weights: bool) -> list[str]:
    """Name what a folder lacks of a base."""
    tokenizer = folder / "tokenizer"
    is_spelled = all((tokenizer / name).is_file() for name in ("vocab.json", "merges.txt"))
    missing = [] if is_spelled or (tokenizer / "tokenizer.json").is_file() else ["tokenizer"]
    if not (folder / "scheduler" / "scheduler_config.json").is_file():
        missing.append("scheduler")
    reads_twice = read_configuration(folder)["unet"].get("addition_embed_type") == "text_time"
    for part in _WEIGHTS:
        if part == "text_encoder_2" and not reads_twice:
            continue
        if not (folder / part / "config.json").is_file():
            missing.append(f"{part} config.json")
        if with_weights and not any(
            _has_weights(folder / part, variant) for variant in (None, HALF)
        ):
            missing.append(f"{part} weights")
    return missing


def variant_of(folder: Path, part: str) -> str | None:
    """Return the variant in which a part's weights are there: `HALF` where there are no others."""
    is_half = not _has_weights(folder / part, None) and _has_weights(folder / part, HALF)
    return HALF if is_half else None


def _has_weights(folder: Path, variant: str | None) -> bool:
    stems, word = _WEIGHTS[folder.name], f".{variant}" if variant else ""
    return any(
        _is_whole(folder, f"{stem}{word}{suffix}", f"{stem}{suffix}.index{word}.json")
        for stem, suffix in zip(stems, (".safetensors", ".bin"), strict=True)
    )


def _is_whole(folder: Path, name: str, index_name: str) -> bool:
    index = folder / index_name
    if not index.is_file():
        return (folder / name).is_file()
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / shard).is_file() for shard in shards)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


@contextmanager
def _alone(hub_id: str) -> Iterator[None]:
    """Wait until no other process of this node fetches the same base."""
    name = repo_folder_name(repo_id=hub_id, repo_type="model")
    lock = Path(constants.HF_HUB_CACHE) / ".locks" / name / "base.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        # Some network file systems cannot lock: then each process fetches, as the hub's client
        # does by itself.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
