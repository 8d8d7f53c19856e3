"""What the HTTP side asks of engines, wherever they run: in this process, or behind Ray."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cdcore.model.unread_text import UnreadText
from serve.concepts.mix import ConceptRef
from serve.engine.request import Event, PictureRequest
from serve.gateway.exporting import Download
from serve.gateway.facts import ServiceFacts

__all__ = ["Accepted", "EngineEvent", "Gateway", "KeptMerge", "Weighted"]

Weighted = Sequence[tuple[ConceptRef, float]]
"""Concepts and their weights."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request has been admitted; what follows is what the engine tells.

    Attributes:
        unread: What the base does not read of the request's "prompt" and "negative_prompt"; without
            those that it reads whole.
    """

    unread: Mapping[str, UnreadText] = field(default_factory=dict)


EngineEvent = Accepted | Event


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptMerge:
    """A merge as a concept file.

    Attributes:
        data: The file's content.
        report: The merge's report, as `cdcore.merging.report.MergeReport` says it in JSON.
    """

    data: bytes
    report: Mapping[str, Any]


class Gateway(Protocol):
    """A way to the engines of one base; any of them answers."""

    async def facts(self) -> ServiceFacts:
        """Return what the engines serve; waits until one is warm."""

    def draw(self, request: PictureRequest) -> AsyncGenerator[EngineEvent, None]:
        """Ask for pictures.

        Yields:
            `Accepted` and what happens up to `Done`, or `Failed` at any time and nothing more. A
            reader that leaves before closes the iterator, and the rows are free at the next tick.
        """

    async def merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge:
        """Merge concepts into a file.

        Raises:
            CustomDiffusionError: A concept or a method does not exist, or the merge is ill-posed.
        """

    async def export(self, reference: ConceptRef, format_name: str) -> Download:
        """Write a concept in a format of `serve.gateway.exporting`.

        Raises:
            CustomDiffusionError: There is no such concept or format, or they do not go together.
        """

    async def figures(self) -> Mapping[str, float]:
        """Return the figures of an engine that works.

        Raises:
            EngineStoppedError: The engine does not work.
        """
