"""What the small files of a base say, read without torch: its words, its shapes, its settings.

A command refuses by them within a second what the loaded base would refuse after several: a base
that is not there, a word that its tokenizer cannot use, a concept of another shape. What is missing
here is not judged; the loaded base is the judge of all that passes.

D rows of the K/V stack, d text width.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from cdcore.errors import BaseModelError
from cdcore.model.checkpoint_header import checkpoint_path, is_torch_file, read_checkpoint_header
from cdcore.model.clip_words import words_folder
from cdcore.model.configuration import read_configuration
from cdcore.model.families import CLIP_WORDS, POCKET, SD1, Family
from cdcore.model.location import EXPECTED_BASES, HALF, named_folder, variant_of
from cdcore.model.modifier_tokens import check_word
from cdcore.model.profiles import Profile
from cdcore.model.unfit_bases import check_configuration

__all__ = ["BaseFiles", "local_base"]

_KEYS_AND_VALUES = re.compile(r".*\.attn2\.to_[kv]\.weight")
_MOST_HEADER_BYTES = 100_000_000
"""As safetensors itself allows."""
_WORD = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
"""What CLIP's tokenizer splits a text into before it looks for parts of words."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BaseFiles:
    """What is known of a base without its weights; None where its files do not say it.

    Attributes:
        name: The base as the user named it.
        text_width: d.
        stack_rows: D.
        words: How many words its tokenizer has.
        tokenizer: The tokenizer of the library below transformers.
        family: The family of its architecture.
        profile: The settings that suit it.
    """

    name: str
    text_width: int | None
    stack_rows: int | None
    words: int | None
    tokenizer: Tokenizer | None
    family: Family
    profile: Profile

    @property
    def is_pocket(self) -> bool:
        """Whether this is a pocket base."""
        return self.family is POCKET

    def check_word(self, word: str) -> None:
        """Refuse a word or phrase that no concept could be taught by.

        Raises:
            TokenError: As for `cdcore.model.text_encoder.TextEncoder.word_ids`.
        """
        if self.tokenizer is not None:
            check_word(word, self.tokenizer.encode(word, add_special_tokens=False).ids)


def local_base(name: str) -> BaseFiles:
    """Read what the small files of a base say; of a base on a hub they are fetched if need be.

    Args:
        name: As for `cdcore.model.loading.load_base`.

    Raises:
        BaseModelError: There is no such base, or no concept can be taught to it.
    """
    try:
        path = checkpoint_path(name)
        return _of_folder(name) if path is None else _of_file(name, path)
    except OSError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(". ")
        raise BaseModelError(
            f"base {name!r} cannot be loaded: {reason}; {EXPECTED_BASES}"
        ) from error


def _of_folder(name: str) -> BaseFiles:
    folder = named_folder(name, with_weights=False)
    configuration = read_configuration(folder)
    check_configuration(name, configuration)
    return BaseFiles(
        name=name,
        text_width=_whole(configuration["unet"], "cross_attention_dim"),
        stack_rows=_stack_rows(folder / "unet"),
        words=_whole(configuration["text_encoder"], "vocab_size"),
        tokenizer=_tokenizer(folder / "tokenizer"),
        family=configuration.family,
        profile=configuration.profile,
    )


def _of_file(name: str, path: Path) -> BaseFiles:
    """Read the header of a checkpoint; that of a torch file needs torch, and is left to it."""
    tokenizer = _tokenizer(words_folder(path))
    if is_torch_file(path):
        return BaseFiles(
            name=name,
            text_width=None,
            stack_rows=None,
            words=CLIP_WORDS,
            tokenizer=tokenizer,
            family=SD1,
            profile=SD1.profile,
        )
    header = read_checkpoint_header(name, path)
    return BaseFiles(
        name=name,
        text_width=header.family.layout.text_width,
        stack_rows=header.family.layout.shape[0],
        words=CLIP_WORDS,
        tokenizer=tokenizer,
        family=header.family,
        profile=header.configuration.profile,
    )


def _whole(config: Mapping[str, Any], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) else None


def _stack_rows(folder: Path) -> int | None:
    """Add up the rows of all keys and values, from the header of the U-Net's file."""
    word = f".{HALF}" if variant_of(folder.parent, "unet") else ""
    path = folder / f"diffusion_pytorch_model{word}.safetensors"
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= _MOST_HEADER_BYTES else {}
        shapes = [header[name]["shape"] for name in header if _KEYS_AND_VALUES.fullmatch(name)]
        return sum(shape[0] for shape in shapes) or None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _tokenizer(folder: Path) -> Tokenizer | None:
    """Build the tokenizer as transformers builds it of the same files."""
    try:
        vocabulary, merges = _spelling(folder)
        tokenizer = Tokenizer(
            models.BPE(
                vocab=vocabulary,
                merges=merges,
                unk_token="<|endoftext|>",
                continuing_subword_prefix="",
                end_of_word_suffix="</w>",
            )
        )
    # The library raises what Rust panics with, too.
    except Exception:
        return None
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def _spelling(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    whole = folder / "tokenizer.json"
    if whole.is_file():
        model = json.loads(whole.read_text(encoding="utf-8"))["model"]
        pairs = [one.split(" ") if isinstance(one, str) else one for one in model["merges"]]
        return model["vocab"], [(left, right) for left, right in pairs]
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    # The first line names the format.
    pairs = [line.split() for line in lines[1:] if line.strip()]
    return vocabulary, [(left, right) for left, right in pairs]
