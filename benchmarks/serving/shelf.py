"""Any number of live concepts on disk, and a base to serve them from.

A thousand concepts are a thousand names of a few files: what a server does with them is the same,
and the disk stays small. The values are random, which no speed depends on.
"""

import os
from functools import cache
from pathlib import Path

import torch

from benchmarks.common.random_bases import save_random_base, text_model
from cdcore.concepts.concept import Concept
from cdcore.concepts.merge_inputs import MergeInputs
from cdcore.concepts.storage import load_concept, load_merge_inputs, save_concept
from cdcore.concepts.subject import Subject
from cdcore.merging.caption_bank import written_captions
from cdcore.merging.caption_statistics import caption_statistics
from cdcore.model.base import Base
from cdcore.model.location import POCKET_FOLDER
from cdcore.model.update import DenseUpdate
from cdcore.pocket.networks.architecture import (
    TEXT_WIDTH,
    build_autoencoder,
    build_noise_scheduler,
    build_towers,
    build_unet,
)
from cdcore.pocket.networks.tokenizer import build_tokenizer
from cdcore.pocket.scenes.caption import words
from serve.concepts.merger import ConceptMerger
from serve.concepts.mix import ConceptRef

__all__ = ["Shelf", "base_folder_of"]

_FILES = 8
_SIZE = 0.02
"""Deviation of an update's entries: small beside weights, so that pictures stay pictures."""


class Shelf:
    """Concept files of one base; a `serve.concepts.store.ConceptSource`."""

    def __init__(self, base: Base, folder: Path) -> None:
        """Write the files.

        Args:
            base: What the concepts are of.
            folder: Where the files are written.
        """
        self._folder = folder
        generator = torch.Generator().manual_seed(0)
        word = base.text_encoder.initial_embedding("cat").cpu()
        for number in range(_FILES):
            concept = Concept(
                name=f"file{number}",
                update=DenseUpdate(
                    _SIZE * torch.randn(base.seam.layout.shape, generator=generator)
                ),
                tokens={
                    self._token(number): word
                    + word.std() * torch.randn(word.shape, generator=generator)
                },
                subjects=(Subject(class_noun="cat", token=self._token(number)),),
                base_name=base.name,
                base_fingerprint=base.fingerprint,
            )
            save_concept(concept, self._file(number), base)

    def references(self, count: int) -> list[ConceptRef]:
        """Return ``count`` concepts, the first ones the same for every count."""
        return [ConceptRef(f"concept{number}", "1") for number in range(count)]

    def token(self, reference: ConceptRef) -> str:
        """Return the modifier token of a concept."""
        return self._token(self._number(reference))

    def concept(self, reference: ConceptRef) -> Concept:
        """Return a concept, read once for each file."""
        return _read(self._file(self._number(reference))).renamed(reference.name)

    def inputs(self, reference: ConceptRef) -> MergeInputs:
        """Return what a merge needs of a concept, read once for each file."""
        return _read_merge_inputs(self._file(self._number(reference)))

    def merger(self, base: Base) -> ConceptMerger:
        """Return the merge of the service, for these concepts of ``base``."""
        captions = written_captions(pocket=base.is_pocket)
        return ConceptMerger(caption_statistics(base, captions, None), self.inputs)

    def file_bytes(self, reference: ConceptRef) -> int:
        """Return the size of a concept's file."""
        return self._file(self._number(reference)).stat().st_size

    def fetch(self, reference: ConceptRef, path: Path) -> None:
        """Put a concept's file at ``path``."""
        path.unlink(missing_ok=True)
        os.link(self._file(self._number(reference)), path)

    def _number(self, reference: ConceptRef) -> int:
        return int(reference.name.removeprefix("concept")) % _FILES

    def _token(self, number: int) -> str:
        return f"<shelf{number}>"

    def _file(self, number: int) -> Path:
        return self._folder / f"file{number}.safetensors"


@cache
def _read(path: Path) -> Concept:
    return load_concept(path)


@cache
def _read_merge_inputs(path: Path) -> MergeInputs:
    return load_merge_inputs(path)


def base_folder_of(name: str, folder: Path) -> Path:
    """Return the diffusers folder of a base.

    Args:
        name: ``pocket``, a diffusers folder, or ``random-pocket``, ``random-sd1`` or
            ``random-tiny``: the same shape with random weights.
        folder: Where a random base is written.

    Raises:
        OSError: The folder cannot be written.
    """
    match name:
        case "pocket":
            return POCKET_FOLDER
        case "random-pocket":
            _save_random_pocket(folder)
        case "random-sd1":
            save_random_base("sd1", folder)
        case "random-tiny":
            save_random_base("tiny", folder)
        case _:
            return Path(name).expanduser()
    return folder


def _save_random_pocket(folder: Path) -> None:
    tokenizer = build_tokenizer(words())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text = build_towers(tokenizer).config.text_config.to_dict()
        kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
        described = {name: text[name] for name in (*kept, "num_attention_heads")}
        described["max_position_embeddings"] = text["max_position_embeddings"]
        assert described["hidden_size"] == TEXT_WIDTH
        parts = {
            "text_encoder": text_model(described, tokenizer),
            "vae": build_autoencoder(),
            "unet": build_unet(),
        }
    tokenizer.save_pretrained(folder / "tokenizer")
    build_noise_scheduler().save_pretrained(folder / "scheduler")
    for name, part in parts.items():
        part.save_pretrained(folder / name)
