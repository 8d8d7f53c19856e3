"""The HTTP side's parts, which every route finds in ``app.state.service``."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from cdcore.errors import EngineStoppedError
from cdcore.registry.registry import Registry
from serve.api_keys import ApiKeys
from serve.catalogue.catalogue import Catalogue
from serve.catalogue.examples import publish_examples
from serve.gateway.facts import ServiceFacts
from serve.gateway.protocol import Gateway
from serve.payloads.image_links import PictureLinks
from serve.policies.byte_lru import ByteLRU
from serve.policies.quota import Quotas
from serve.settings import ServiceSettings

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_MIB = 2**20
_THUMBNAIL_BYTES = 64 * _MIB
_WAIT_S = 60.0


class Service:
    """One base, one registry and their engines; `start` it, and `close` it at the end."""

    def __init__(
        self,
        settings: ServiceSettings,
        gateway: Gateway,
        registry: Registry,
        examples: Sequence[Path] = (),
    ) -> None:
        """Put the parts together.

        Args:
            settings: The service's settings, with absolute paths.
            gateway: The way to engines of the settings' base.
            registry: The registry that the settings name.
            examples: Concept files to publish where their names are free.

        Raises:
            ConfigError: The file of keys cannot be used.
        """
        self.settings = settings
        self.gateway = gateway
        self.catalogue = Catalogue(registry, poll_s=settings.poll_s)
        self.keys = None if settings.keys is None else ApiKeys(Path(settings.keys))
        self.quotas = Quotas()
        self.links = PictureLinks(keep_s=settings.link_s, budget_bytes=settings.link_mib * _MIB)
        self.thumbnails: ByteLRU[bytes] = ByteLRU(_THUMBNAIL_BYTES)
        self.thumbnail_turn = asyncio.Semaphore(1)
        self.upload_turn = asyncio.Semaphore(2)
        self._registry = registry
        self._examples = examples
        self._facts: ServiceFacts | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._has_waited = False

    async def facts(self) -> ServiceFacts:
        """Return what the engines serve, once one has answered.

        Raises:
            EngineStoppedError: No engine answers.
        """
        if self._facts is None:
            try:
                self._facts = await asyncio.wait_for(self.gateway.facts(), _WAIT_S)
            except TimeoutError:
                raise EngineStoppedError("no engine is ready yet; try again") from None
        return self._facts

    async def start(self) -> None:
        """Look at the registry, and begin to publish the examples."""
        await asyncio.to_thread(self.catalogue.start)
        if self._examples:
            self._publishing = asyncio.create_task(self._publish_examples())

    async def examples_published(self) -> None:
        """Wait until the examples can be named; once and not for long, for a store may hang."""
        if self._publishing is not None and not self._has_waited:
            await asyncio.wait([self._publishing], timeout=_WAIT_S)
            self._has_waited = True

    async def close(self) -> None:
        """Stop following the registry."""
        if self._publishing is not None:
            self._publishing.cancel()
        await asyncio.to_thread(self.catalogue.close)

    async def _publish_examples(self) -> None:
        try:
            facts = await self.gateway.facts()
            await asyncio.to_thread(
                publish_examples, self._registry, self._examples, facts.base_fingerprint
            )
            await asyncio.to_thread(self.catalogue.refresh)
        except Exception:
            _log.exception("the example concepts could not be published")
