"""Three ways to serve many concepts from one base, behind one interface.

- `EngineSystem`: this project's engine; requests of any concepts share every batch.
- `SwapSystem`: a diffusers pipeline that installs the concept's weights for each request, as its
  documentation has it. Concepts and merges are all in memory, and nothing is installed twice in a
  row.
- `GroupSystem`: requests for the same concepts make a batch, oldest first; it runs to its end. This
  is what servers do that batch by adapter. It samples with `cdcore.sampling.pipeline`, like the
  engine.

All three merge by the same function and draw the same pictures.
"""

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.serving.load import METHOD, Arrival
from benchmarks.serving.shelf import Shelf
from benchmarks.serving.system import Served, System
from cdcore.model.base import Base
from cdcore.model.kv_layout import KVLayout
from cdcore.model.modifier_tokens import modifier_tokens
from cdcore.model.update import Update
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from serve.concepts.mix import ConceptMix
from serve.concepts.preparation import Merge, Merged, MergePart
from serve.concepts.tensor_sizes import tensor_bytes
from serve.engine.engine import Engine
from serve.engine.request import Done, Event, Failed, Picture, PictureRequest
from serve.policies.byte_lru import ByteLRU

__all__ = ["EngineSystem", "GroupSystem", "SwapSystem"]

_MERGE_BYTES = 2**28
_PLACEHOLDERS = ("<first>", "<second>", "<third>")


class EngineSystem(System):
    """This project's engine."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine that is started."""
        self.engine = engine

    def submit(self, arrival: Arrival, served: Served) -> None:
        """Hand an arrival to the engine."""
        profile = self.engine.base.profile
        request = PictureRequest(
            prompt=arrival.prompt,
            seeds=(arrival.seed,),
            steps=profile.sampling_steps,
            guidance_scale=profile.guidance_scale,
            mix=arrival.mix,
        )
        pictures: list[Tensor] = []

        def note(event: Event) -> None:
            match event:
                case Picture():
                    pictures.append(event.pixels)
                case Done():
                    served.note(arrival.number, pictures[0], event)
                case Failed():
                    served.fail(event.error)

        self.engine.submit(request, note)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()


class _Queue(System):
    """A server with one thread that takes arrivals from a queue."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Arrival, Served]] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, arrival: Arrival, served: Served) -> None:
        """Put an arrival at the end of the queue."""
        with self._changed:
            self._waiting.append((arrival, served))
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread; what still waits is dropped."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _take(self) -> list[tuple[Arrival, Served]]:
        """Choose what to do next, with the lock held; something waits."""
        return [self._waiting.popleft()]

    @abstractmethod
    def _draw(self, arrivals: list[Arrival]) -> Tensor:
        """Return the pictures (B, 3, H, W) in [-1, 1] of arrivals."""

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if self._is_closing:
                    return
                taken = self._take()
            try:
                pictures = self._draw([arrival for arrival, _ in taken]).cpu()
            except Exception as error:
                for _, served in taken:
                    served.fail(error)
                return
            for (arrival, served), pixels in zip(taken, pictures, strict=True):
                served.note(arrival.number, pixels)


class _Merges:
    """The concepts of a mix, merged and kept as by the engine."""

    def __init__(self, shelf: Shelf, merge: Merge) -> None:
        self._shelf, self._merge = shelf, merge
        self._known: ByteLRU[Merged] = ByteLRU(_MERGE_BYTES)

    def of(self, mix: ConceptMix) -> Merged:
        parts = [MergePart(one, self._shelf.concept(one), weight) for one, weight in mix.parts]
        if mix.is_plain:
            return Merged(parts[0].concept.update, parts[0].concept.tokens, {})
        known = self._known.get(mix)
        if known is None:
            known = self._merge(parts, METHOD)
            self._known.put(mix, known, tensor_bytes(known.update))
        return known


class GroupSystem(_Queue):
    """Batches of requests for the same concepts."""

    def __init__(self, base: Base, shelf: Shelf, merge: Merge, slots: int) -> None:
        """Serve.

        Args:
            base: The base model.
            shelf: The concepts.
            merge: How several become one.
            slots: Pictures of one batch.
        """
        self._base, self._slots = base, slots
        self._merges = _Merges(shelf, merge)
        super().__init__()

    def _take(self) -> list[tuple[Arrival, Served]]:
        mix = self._waiting[0][0].mix
        same = [item for item in self._waiting if item[0].mix == mix][: self._slots]
        for item in same:
            self._waiting.remove(item)
        return same

    def _draw(self, arrivals: list[Arrival]) -> Tensor:
        merged = self._merges.of(arrivals[0].mix)
        assert merged.update is not None
        update: Update = merged.update.to(self._base.device, self._base.seam.dtype)
        requests = [
            Request.of_profile(
                self._base, arrival.prompt, arrival.seed, update=update, tokens=merged.tokens
            )
            for arrival in arrivals
        ]
        return sample(self._base, requests)


class SwapSystem(_Queue):
    """A diffusers pipeline whose weights are swapped."""

    def __init__(self, folder: Path, base: Base, shelf: Shelf, merge: Merge) -> None:
        """Load the pipeline.

        Args:
            folder: The folder of the base.
            base: The same base, for its settings, device and dtype; its U-Net is not used.
            shelf: The concepts.
            merge: How several become one.
        """
        self._base = base
        self._merges = _Merges(shelf, merge)
        self._installed: ConceptMix | None = None
        self._pipeline = _pipeline(folder, base)
        layout = KVLayout.of(self._pipeline.unet)
        parameters = dict(self._pipeline.unet.named_parameters())
        self._original = layout.stack(self._pipeline.unet)
        self._split: Callable[[Tensor], dict[str, Tensor]] = layout.split
        self._targets = {name: parameters[name] for name in layout.names}
        self._ids = self._pipeline.tokenizer.convert_tokens_to_ids(list(_PLACEHOLDERS))
        super().__init__()

    @torch.no_grad()
    def _install(self, mix: ConceptMix) -> None:
        if mix == self._installed:
            return
        merged = self._merges.of(mix)
        assert merged.update is not None
        dense = merged.update.to(self._base.device).dense()
        tuned = self._original + dense.to(self._original.dtype)
        for name, weight in self._split(tuned).items():
            self._targets[name].copy_(weight)
        table = self._pipeline.text_encoder.get_input_embeddings().weight
        for id_, row in zip(self._ids, merged.tokens.values(), strict=False):
            table[id_] = row.to(table)
        self._installed = mix

    def _draw(self, arrivals: list[Arrival]) -> Tensor:
        (arrival,) = arrivals
        self._install(arrival.mix)
        prompt = arrival.prompt
        names = list(self._merges.of(arrival.mix).tokens)
        for token in modifier_tokens(prompt):
            prompt = prompt.replace(token, _PLACEHOLDERS[names.index(token)])
        profile = self._base.profile
        pictures: Tensor = self._pipeline(
            prompt,
            num_inference_steps=profile.sampling_steps,
            guidance_scale=profile.guidance_scale,
            generator=torch.Generator().manual_seed(arrival.seed),
            output_type="pt",
        ).images
        return pictures.float() * 2 - 1


def _pipeline(folder: Path, base: Base) -> Any:
    dtype = base.seam.dtype
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype)
    tokenizer.add_tokens(list(_PLACEHOLDERS))
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(
            folder / "scheduler",
            algorithm_type="dpmsolver++",
            solver_order=2,
            timestep_spacing="linspace",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(base.device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
