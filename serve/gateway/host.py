"""An engine with all it needs around it, as one replica runs it; a `Gateway` of its own."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from pathlib import Path

from cdcore.concepts.storage import save_concept
from cdcore.errors import CustomDiffusionError, EngineStoppedError, ServingError
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.merging.caption_bank import CaptionBank
from cdcore.merging.caption_statistics import caption_statistics
from cdcore.model.base import Base
from cdcore.registry.registry import Registry
from serve.concepts.merger import ConceptMerger
from serve.concepts.mix import ConceptRef
from serve.concepts.registry_source import RegistrySource
from serve.engine.config import EngineConfig
from serve.engine.engine import Engine
from serve.engine.metrics import figures
from serve.engine.preview import PreviewMap
from serve.engine.request import Done, Event, Failed, PictureRequest
from serve.gateway.exporting import CONCEPT, Download, check_format, export
from serve.gateway.facts import ServiceFacts
from serve.gateway.protocol import Accepted, EngineEvent, KeptMerge, Weighted

__all__ = ["EngineHost"]

_log = logging.getLogger(__name__)


class EngineHost:
    """One engine over one registry; `start` it, and `close` it at the end."""

    def __init__(  # noqa: PLR0913 - parts of one thing, most with names
        self,
        base: Base,
        registry: Registry,
        folder: Path,
        config: EngineConfig,
        *,
        captions: CaptionBank,
        cache: Path | None = None,
        preview: PreviewMap | None = None,
    ) -> None:
        """Build an engine; reading the captions takes a while where the cache has no statistics.

        Args:
            base: The base model, for this engine alone.
            registry: Where concepts are published.
            folder: Takes copies of concept files, of this engine alone.
            config: How large the engine is.
            captions: The captions that merges leave alone.
            cache: Root of the caches of caption statistics, or None.
            preview: The map for previews, or None to fit it at the start.

        Raises:
            ConfigError: The base cannot draw one of the sizes.
            MergeError: There are too few captions.
        """
        self._base = base
        self._facts = ServiceFacts.of(base, config)
        self._registry = registry
        self._source = RegistrySource(registry)
        # Before the engine's thread begins to use the text encoder.
        statistics = caption_statistics(base, captions, cache)
        self._merger = ConceptMerger(statistics, self._source.inputs)
        self.engine = Engine(
            base, self._source, folder, config, merge=self._merger, preview=preview
        )

    def start(self, timeout_s: float | None = None) -> None:
        """Start the engine and wait until it is warm.

        Raises:
            EngineStoppedError: The engine has failed, or takes longer.
        """
        self.engine.start()
        if not self.engine.wait_ready(timeout_s):
            raise self.engine.inbox.error or EngineStoppedError(
                f"the engine is not warm after {timeout_s} s"
            )

    def close(self, drain_s: float = 0.0) -> None:
        """Finish what is here, for at most ``drain_s`` seconds, and stop."""
        self.engine.drain(drain_s)
        self.engine.close()

    async def facts(self) -> ServiceFacts:
        """Return the facts at once, as for `Gateway.facts`."""
        return self._facts

    async def draw(self, request: PictureRequest) -> AsyncGenerator[EngineEvent, None]:
        """Ask the engine for pictures, as for `Gateway.draw`."""
        inbox: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(inbox.put_nowait, event)

        try:
            await asyncio.to_thread(self._source.locate, request.mix.references)
            accepted = await asyncio.to_thread(self._accepted, request)
            key = self.engine.submit(request, tell)
        except CustomDiffusionError as error:
            yield Failed(error)
            return
        except OSError as error:
            _log.warning("the registry cannot be read: %s", error)
            yield Failed(ServingError("the registry of concepts cannot be read at the moment"))
            return
        try:
            yield accepted
            while True:
                event = await inbox.get()
                yield event
                if isinstance(event, Done | Failed):
                    return
        finally:
            self.engine.cancel(key)

    async def merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge:
        """Merge on another thread, as for `Gateway.merge`."""
        return await asyncio.to_thread(self._merge, weighted, method, name)

    async def export(self, reference: ConceptRef, format_name: str) -> Download:
        """Export on another thread, as for `Gateway.export`."""
        return await asyncio.to_thread(self._export, reference, format_name)

    async def figures(self) -> Mapping[str, float]:
        """Return the engine's figures, as for `Gateway.figures`."""
        self.check_health()
        return figures(self.engine)

    def check_health(self) -> None:
        """Pass if the engine works.

        Raises:
            EngineStoppedError: The engine has stopped, or its turn takes too long.
        """
        self.engine.check_health()

    def _accepted(self, request: PictureRequest) -> Accepted:
        texts = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
        found = {name: self._base.text_encoder.unread(text) for name, text in texts.items()}
        return Accepted({name: unread for name, unread in found.items() if unread is not None})

    def _merge(self, weighted: Weighted, method: str, name: str) -> KeptMerge:
        updates = None
        if method == "sum":
            updates = [self._registry.load(ref.name, ref.version).update for ref, _ in weighted]
        made = self._merger.merge(weighted, method, updates=updates, name=name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.safetensors"
            save_concept(made.concept, path, made.inputs)
            return KeptMerge(data=path.read_bytes(), report=made.report.as_json())

    def _export(self, reference: ConceptRef, format_name: str) -> Download:
        name, version = reference.name, reference.version
        if check_format(format_name) == CONCEPT:
            return Download(
                file_name=f"{name}.safetensors",
                media_type="application/octet-stream",
                data=self._registry.resolve(name, version).read_bytes(),
            )
        base = KVBase.of(self._base)
        # The base may have been a folder, whose path is nobody's business.
        shown = self._facts.base_name
        concept = replace(self._registry.load(name, version), base_name=shown)
        return export(concept, replace(base, name=shown), format_name)
