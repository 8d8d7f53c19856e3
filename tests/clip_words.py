"""CLIP's true vocabulary for tests, from the development extra that carries it."""

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

__all__ = ["write_clip_words"]

_MERGES = 49_152 - 256 - 2
"""How many of the file's merges CLIP was trained with (Radford et al. 2021)."""


@cache
def _spelling() -> tuple[list[str], list[str]]:
    """The words in the order of their ids, and the merges."""
    # Looked up without an import, which would take torchvision.
    found = importlib.util.find_spec("clip")
    folders = list(found.submodule_search_locations or ()) if found else []
    paths = [Path(folder) / "bpe_simple_vocab_16e6.txt.gz" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        pytest.skip("needs CLIP's vocabulary: pip install openai-clip, or make install")
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    merges = lines[1 : 1 + _MERGES]
    letters = _letters()
    words = letters + [f"{letter}</w>" for letter in letters]
    words += ["".join(merge.split()) for merge in merges]
    return [*words, "<|startoftext|>", "<|endoftext|>"], merges


def _letters() -> list[str]:
    """One printable letter for each byte: the byte's own where it has one."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return [chr(byte) for byte in own] + [chr(256 + number) for number in range(len(others))]


def write_clip_words(folder: Path, pad: str = "<|endoftext|>") -> None:
    """Write a tokenizer's folder as Stable Diffusion's repositories have it."""
    words, merges = _spelling()
    folder.mkdir(parents=True, exist_ok=True)
    ids = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    ends = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad,
    }
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **ends}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps(ends))
