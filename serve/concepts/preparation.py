"""From a request's concepts to the one update it is projected with, without stopping the engine.

Loading and merging run on the threads of an executor. What is at hand is ready at once: finished
prompts, merges, and concepts in memory. A merge is made once however many requests wait for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.errors import ConfigError, CustomDiffusionError, ServingError
from cdcore.model.update import Update
from serve.concepts.mix import ConceptMix, ConceptRef
from serve.concepts.store import ConceptStore, Lease
from serve.concepts.tensor_sizes import tensor_bytes
from serve.policies.byte_lru import ByteLRU

__all__ = ["Merge", "MergePart", "Merged", "Preparation", "Preparer"]

_log = logging.getLogger(__name__)


class Merged(NamedTuple):
    """What concepts with weights come to.

    Attributes:
        update: The change of the K/V stack, on the CPU; None where there is none.
        tokens: The embedding row (d,) of each modifier token.
        residuals: What the merge reports of its own errors, by name.
    """

    update: Update | None
    tokens: Mapping[str, Tensor]
    residuals: Mapping[str, float]


class MergePart(NamedTuple):
    """A concept in a merge.

    Attributes:
        reference: Names the concept's content.
        concept: The content.
        weight: A factor on what the concept was taught.
    """

    reference: ConceptRef
    concept: Concept
    weight: float


Merge = Callable[[Sequence[MergePart], str], Merged]
"""``merge(parts, method)``; may raise `CustomDiffusionError`."""


@dataclass(slots=True, eq=False)
class Preparation:
    """The loading and merging of one request's concepts; to be released in any case.

    Attributes:
        mix: The concepts that the request is drawn with.
        on_settled: Is called once, when the concepts are ready or never will be, by the thread that
            starts the preparation or by one that loads; perhaps never when it is released before.
        merged: What texts are projected with, or None as long as the concepts are not ready.
        error: Why the concepts never will be ready.
        lease: A lease on the concepts that ``merged`` uses, or waits for.
    """

    mix: ConceptMix
    on_settled: Callable[[], None]
    merged: Merged | None = None
    error: CustomDiffusionError | None = None
    lease: Lease | None = None

    def settle(self, outcome: Merged | CustomDiffusionError) -> None:
        """Note how the preparation ended, and tell whoever waits."""
        if isinstance(outcome, Merged):
            self.merged = outcome
        else:
            self.error = outcome
        self.on_settled()


class Preparer:
    """Loads and merges for one engine."""

    def __init__(
        self, store: ConceptStore, merge: Merge | None, executor: Executor, *, merge_bytes: int
    ) -> None:
        """Take over the parts.

        Args:
            store: Loads and holds concepts.
            merge: How several concepts become one, or None where they cannot.
            executor: Lends the threads that merge.
            merge_bytes: Budget for merges, in memory.
        """
        self.merges: ByteLRU[Merged] = ByteLRU(merge_bytes)
        self.merge_s: deque[float] = deque(maxlen=1000)
        """How long merges took, seconds, newest last."""
        self._store = store
        self._merge = merge
        self._executor = executor
        self._waiting: dict[ConceptMix, list[Preparation]] = {}
        self._lock = threading.Lock()

    def start(self, preparation: Preparation) -> None:
        """Begin to prepare; it may settle before this returns."""
        mix = preparation.mix
        if not mix.parts:
            preparation.settle(Merged(None, {}, {}))
            return
        known = None if mix.is_plain else self.merges.get(mix)
        if known is not None:
            preparation.settle(known)
            return
        if len(mix.parts) > 1 and self._merge is None:
            preparation.settle(
                ConfigError("concepts cannot be merged here; ask for one concept at a time")
            )
            return
        preparation.lease = Lease(mix.references, lambda lease: self._on_leased(preparation, lease))
        try:
            self._store.request(preparation.lease)
        except CustomDiffusionError as error:
            preparation.settle(error)
        except Exception as error:
            _log.exception("a concept could not be asked for")
            preparation.settle(ServingError(f"the concepts could not be looked up: {error!r}"))

    def release(self, preparation: Preparation) -> None:
        """Take back what a preparation holds; once is enough, more do no harm."""
        if preparation.lease is not None:
            self._store.release(preparation.lease)

    def _on_leased(self, preparation: Preparation, lease: Lease) -> None:
        mix = preparation.mix
        if lease.concepts is None:
            assert lease.error is not None
            preparation.settle(lease.error)
        elif mix.is_plain:
            concept = lease.concepts[mix.references[0]]
            preparation.settle(Merged(concept.update, concept.tokens, {}))
        else:
            with self._lock:
                # Another's merge may have been made while these concepts were on their way.
                known = self.merges.get(mix)
                is_first = known is None and mix not in self._waiting
                if known is None:
                    self._waiting.setdefault(mix, []).append(preparation)
            # From here on the merge holds the concepts, once for all who wait for it.
            preparation.lease = None
            if is_first:
                self._executor.submit(self._merge_for_all, mix, lease)
            else:
                self._store.release(lease)
            if known is not None:
                preparation.settle(known)

    def _merge_for_all(self, mix: ConceptMix, lease: Lease) -> None:
        outcome: Merged | CustomDiffusionError
        try:
            outcome = self._merged(mix, lease)
        except CustomDiffusionError as error:
            outcome = error
        except Exception as error:
            _log.exception("a merge has failed")
            outcome = ServingError(f"the concepts cannot be merged: {error!r}")
        self._store.release(lease)
        with self._lock:
            if isinstance(outcome, Merged):
                self.merges.put(mix, outcome, tensor_bytes((outcome.update, outcome.tokens)))
            waiting = self._waiting.pop(mix)
        for preparation in waiting:
            preparation.settle(outcome)

    def _merged(self, mix: ConceptMix, lease: Lease) -> Merged:
        assert lease.concepts is not None
        started = time.perf_counter()
        parts = [
            MergePart(reference, lease.concepts[reference], weight)
            for reference, weight in mix.parts
        ]
        if len(parts) == 1:
            _, concept, weight = parts[0]
            update = concept.update.to("cpu", torch.float32).scaled(weight)
            return Merged(update, concept.tokens, {})
        assert self._merge is not None
        merged = self._merge(parts, mix.method)
        self.merge_s.append(time.perf_counter() - started)
        return merged
