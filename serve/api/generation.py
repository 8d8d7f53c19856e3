"""A generation: what a client asks for, what the engine is asked for it, and how it is told."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdcore.errors import ConfigError
from cdcore.model.foreign_syntax import foreign_syntax
from cdcore.model.unread_text import UnreadText
from serve.api.concept_selection import choose
from serve.api.middleware import request_id
from serve.api.schemas import ImageRequest, Provenance, UsedConcept
from serve.api.service import Service
from serve.catalogue.caller import Caller
from serve.concepts.mix import ConceptMix
from serve.engine.request import PictureRequest
from serve.gateway.facts import ServiceFacts
from serve.payloads.image_file import PictureFile

__all__ = ["Generation", "generation_of"]

_REMEDY = 'give a concept and its weight in concepts, as [{"name": "mycat", "weight": 0.8}]'


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A client's request, what the engine is asked for it, and how its pictures are made.

    Attributes:
        body: What the client asks for.
        wanted: What the engine is asked for.
        size: (width, height) of the pictures in pixels.
        names: What prompts name each concept of the request by, in lower case, by its name.
        provenance: What is told of the pictures, in them and beside them.
        warnings: What of the prompts does not do what their writer may think.
    """

    body: ImageRequest
    wanted: PictureRequest
    size: tuple[int, int]
    names: Mapping[str, tuple[str, ...]]
    provenance: Provenance
    warnings: list[str]

    @property
    def file(self) -> PictureFile:
        """How finished pictures are written."""
        return PictureFile(kind=self.body.output_format, quality=self.body.output_compression)

    def settings(self, seed: int) -> dict[str, Any]:
        """Return how a picture was made, as it is written into its file."""
        provenance = self.provenance.model_dump(exclude={"residuals"})
        return {"prompt": self.body.prompt, "seed": seed, **provenance}

    def note_unread(self, unread: Mapping[str, UnreadText]) -> None:
        """Tell what the base does not read of "prompt" and "negative_prompt", and which concepts.

        Args:
            unread: As the engine has found when it admitted the request.
        """
        self.warnings.extend(one.note for one in unread.values())
        self.provenance.unread = {name: one.text for name, one in unread.items()}
        for used in self.provenance.concepts:
            used.unread = "prompt" in unread and unread["prompt"].hides(self.names[used.name])


async def generation_of(
    body: ImageRequest, facts: ServiceFacts, service: Service, caller: Caller
) -> Generation:
    """Complete what a client asks for; errors as for `choose`, and for a size or a prompt."""
    _check_prompts(body, service.settings.prompt_chars)
    size = _size(body.size, facts)
    # Versions that are not current are looked up in the store.
    mix, listed = await asyncio.to_thread(choose, body, facts, service.catalogue, caller)
    wanted = _picture_request(body, facts, mix, size, caller.owner or body.user or "")
    texts = dict.fromkeys((body.prompt, body.negative_prompt))
    return Generation(
        body=body,
        wanted=wanted,
        size=size,
        names={concept.name: concept.names for concept in listed},
        provenance=_provenance_of(wanted, facts),
        warnings=[line for text in texts for line in foreign_syntax(text, _REMEDY)],
    )


def _check_prompts(body: ImageRequest, most: int) -> None:
    longest = max(len(body.prompt), len(body.negative_prompt))
    if longest > most:
        raise ConfigError(f"a prompt has {longest} characters, at most {most} are read")


def _picture_request(
    body: ImageRequest, facts: ServiceFacts, mix: ConceptMix, size: tuple[int, int], client: str
) -> PictureRequest:
    """Return what the engine is asked for; what the body leaves open is as the base has it."""
    first = secrets.randbits(32) if body.seed is None else body.seed
    return PictureRequest(
        prompt=body.prompt,
        seeds=tuple((first + number) % 2**64 for number in range(body.n)),
        steps=body.num_inference_steps or facts.steps,
        guidance_scale=body.guidance_scale or facts.guidance_scale,
        sampler=body.sampler or facts.sampler,
        negative_prompt=body.negative_prompt,
        mix=mix,
        size=size,
        client=client,
        deadline_s=body.deadline_s,
        deterministic=body.deterministic,
        previews=body.partial_images if body.stream else 0,
    )


def _provenance_of(wanted: PictureRequest, facts: ServiceFacts) -> Provenance:
    """Return how pictures are made, whose merge has not reported its errors yet."""
    return Provenance(
        request_id=request_id(),
        base=facts.base_name,
        base_fingerprint=facts.base_fingerprint,
        concepts=[
            UsedConcept(name=reference.name, version=reference.version, weight=weight)
            for reference, weight in wanted.mix.parts
        ],
        merge=wanted.mix.method or None,
        residuals={},
        steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        sampler=wanted.sampler,
        negative_prompt=wanted.negative_prompt,
        deterministic=wanted.deterministic,
    )


def _size(text: str, facts: ServiceFacts) -> tuple[int, int]:
    if text == "auto":
        return facts.sizes[0]
    for width, height in facts.sizes:
        if text == f"{width}x{height}":
            return width, height
    allowed = ", ".join(f"{width}x{height}" for width, height in facts.sizes)
    raise ConfigError(f"size is {text!r}, this service draws auto, {allowed}")
