"""The engine: one thread that owns the device and draws for every client in the same batches.

A turn of that thread:

    leave    rows of requests that were cancelled, are too late, or have failed
    decode   at most one picture, by the autoencoder
    join     rows of requests whose concepts are at hand; their texts are projected, once
    tick     one forward of the U-Net over the rows of one size, one update of the sampler
    emit     previews; rows whose steps are done wait to be decoded

What to do is decided by `serve.policies.scheduler`; loading and merging happen on other threads,
which only leave a note at the inbox (`serve.engine.inbox`). Clients are told by the engine's thread
alone, so what a client hears is in order, and nothing follows the end.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from cdcore.errors import CustomDiffusionError, EngineStoppedError, ServingError
from cdcore.model.base import Base
from cdcore.sampling.rows import Row
from cdcore.sampling.solvers import plan
from serve.concepts.preparation import Merge, Preparer
from serve.concepts.store import ConceptSource, ConceptStore
from serve.engine.batch import Batch, BatchRow
from serve.engine.conditioning import Conditioner
from serve.engine.config import EngineConfig, latent_shape, limits_of, native_size
from serve.engine.decoder import PictureDecoder
from serve.engine.inbox import Inbox, StepPlan
from serve.engine.preview import PreviewMap
from serve.engine.request import Event, Failed, Picture, PictureRequest, Preview, Sink
from serve.engine.work import Ticket, Work
from serve.policies.job import RowKey, Size

__all__ = ["Engine"]

_log = logging.getLogger(__name__)
_CLOSED = "this engine was closed; send the request to another one"
_LOADER_THREADS = 2
"""Threads that load and merge."""
_MERGE_BYTES = 2**28
"""Budget in memory for merges."""
_STALL_S = 60.0
"""A turn that takes longer is no sign of health."""


class Engine:
    """Pictures for many clients from one base; `start` it, and `close` it at the end."""

    def __init__(
        self,
        base: Base,
        source: ConceptSource,
        folder: Path,
        config: EngineConfig | None = None,
        *,
        merge: Merge | None = None,
        preview: PreviewMap | None = None,
    ) -> None:
        """Build an engine.

        Args:
            base: The base model, used by the engine's thread alone from the start on.
            source: Where concepts come from.
            folder: Takes copies of concept files, of this engine alone.
            config: How large the engine is.
            merge: How several concepts become one, or None where they cannot.
            preview: The map for previews, or None to fit it at the start.

        Raises:
            ConfigError: The base cannot draw one of the sizes.
        """
        self.base = base
        self.config = config or EngineConfig()
        self.counts: Counter[str] = Counter()
        """"ticks"; "rows" and different "blends" in them, added up; "pictures"."""
        limits = limits_of(base, self.config)
        self._loaders = ThreadPoolExecutor(_LOADER_THREADS, "concept-loader")
        self.store = ConceptStore(
            base,
            source,
            folder,
            self._loaders,
            host_bytes=self.config.host_bytes,
            disk_bytes=self.config.disk_bytes,
        )
        self.preparer = Preparer(self.store, merge, self._loaders, merge_bytes=_MERGE_BYTES)
        self.conditioner = Conditioner(
            base, prompt_bytes=self.config.prompt_bytes, device_bytes=self.config.device_bytes
        )
        self.inbox = Inbox(limits, self.preparer, self.conditioner)
        self._preview = preview
        self._batches = {size: Batch(base, slots) for size, slots in limits.slots.items()}
        self._decoder = PictureDecoder(base, self.inbox.is_open)
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread; requests may come before it is warm."""
        self._thread.start()

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until the engine is warm or has failed; whether it is warm."""
        self._is_ready.wait(timeout_s)
        return self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether the engine is warm, and has not stopped."""
        return self._is_ready.is_set() and self.inbox.error is None

    def submit(self, request: PictureRequest, sink: Sink) -> str:
        """Ask for pictures.

        Args:
            request: What is asked for.
            sink: Is called by the engine's thread with each event, and must return at once.

        Returns:
            The key of the request, for `cancel`.

        Raises:
            ConfigError: The request can never be done here: steps, sampler or size are impossible.
            OverloadedError: There is too much work; the error says when to come again.
            DeadlineError: The request cannot be done by its deadline.
            EngineStoppedError: The engine drains, was closed, or has failed.
        """
        steps = plan(self.base.noise_schedule, request.sampler, request.steps, eta=request.eta)
        size = request.size or native_size(self.base)
        return self.inbox.submit(request, steps, size, sink)

    def ask(self, request: PictureRequest) -> Ticket:
        """Ask for pictures and hold the end where they come out; errors as for `submit`."""
        ticket = Ticket(self.cancel)
        ticket.key = self.submit(request, ticket.inbox.put)
        return ticket

    def cancel(self, key: str) -> None:
        """Take a request back: its rows leave before the next tick. Harmless once it has ended."""
        self.inbox.cancel(key)

    def check_health(self) -> None:
        """Pass if the engine works, or waits for work.

        Raises:
            EngineStoppedError: The engine has stopped, or is in one turn for too long.
        """
        if self.inbox.error is not None:
            raise EngineStoppedError(str(self.inbox.error))
        age_s = self.turn_age_s
        if age_s > _STALL_S:
            raise EngineStoppedError(
                f"the engine has been in one turn for {age_s:.0f} s, expected at most "
                f"{_STALL_S:.0f} s; restart it"
            )

    @property
    def turn_age_s(self) -> float:
        """How long the present turn has lasted, seconds; 0 while the engine waits for work."""
        started = self.inbox.turn_started_at
        return 0.0 if started is None else time.monotonic() - started

    def drain(self, timeout_s: float) -> bool:
        """Refuse new requests and wait for the others; whether all of them have ended."""
        return self.inbox.drain(timeout_s)

    def close(self) -> None:
        """Stop after the turn it is in; requests that are here fail. Drain first to finish them."""
        self.inbox.close(EngineStoppedError(_CLOSED))
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        self._fail_all()
        self._loaders.shutdown(cancel_futures=True)

    def _run(self) -> None:
        try:
            with torch.no_grad():
                self._warm_up()
                self._is_ready.set()
                while True:
                    step_plan = self.inbox.await_turn(has_other_work=len(self._decoder) > 0)
                    if step_plan is None:
                        break
                    self._take(step_plan)
        except BaseException as error:
            _log.exception("the engine has failed")
            self.inbox.close(EngineStoppedError(f"the engine has failed: {error!r}; restart it"))
        finally:
            self._fail_all()
            self._is_ready.set()

    def _warm_up(self) -> None:
        """Run everything once, so that no client waits for it, and measure a tick of each size."""
        for size, batch in self._batches.items():
            self.inbox.measure(size, batch.warm_up(latent_shape(self.base, size)))
            empty = torch.zeros(1, *latent_shape(self.base, size), device=self.base.device)
            self.base.decode_latents(empty)
        if self._preview is None:
            self._preview = PreviewMap.of_base(self.base)

    def _take(self, step_plan: StepPlan) -> None:
        self._tell_failed(step_plan.failed)
        self._decode_one()
        for size, active in step_plan.active.items():
            self._seat(self._batches[size], active)
        if step_plan.size is not None and len(self._batches[step_plan.size]):
            self._tick(step_plan.size, step_plan.active[step_plan.size])

    def _decode_one(self) -> None:
        decoded = self._decoder.decode_one()
        if decoded is None:
            return
        row, work, outcome = decoded
        if isinstance(outcome, ServingError):
            self._fail(work.key, outcome)
            return
        self.counts["pictures"] += 1
        seed = work.request.seeds[row[1]]
        self._tell(work, Picture(number=row[1], seed=seed, pixels=outcome))
        if self.inbox.decoded(row) is not None:
            self._tell(work, work.done)

    def _seat(self, batch: Batch, active: Mapping[RowKey, Work]) -> None:
        """Let the rows of a batch be those that are to be active."""
        for key in batch.rows:
            if key not in active:
                batch.leave(key)
        for key, work in active.items():
            if key in batch or not self.inbox.is_open(work.key):
                continue
            try:
                batch.join(key, self._new_row(key, work))
            except CustomDiffusionError as error:
                self._fail(work.key, error)
            except Exception as error:
                _log.exception("a request could not be conditioned")
                self._fail(work.key, ServingError(f"the prompt could not be read: {error!r}"))

    def _new_row(self, key: RowKey, work: Work) -> BatchRow:
        request = work.request
        if work.conditioning is None:
            assert work.preparation is not None
            assert work.preparation.merged is not None
            work.conditioning = self.conditioner.condition(request, work.preparation.merged)
            self.inbox.release(work)
            work.preparation = None
        shape = latent_shape(self.base, work.size)
        return BatchRow(
            row=Row.start(work.plan, request.seeds[key[1]], shape, self.base.device),
            conditioning=work.conditioning,
            guidance_scale=request.guidance_scale,
            is_deterministic=request.deterministic,
        )

    def _tick(self, size: Size, active: Mapping[RowKey, Work]) -> None:
        batch = self._batches[size]
        batch.tick()
        self.counts["ticks"] += 1
        self.counts["rows"] += len(batch)
        self.counts["blends"] += len({active[key].request.mix for key in batch.rows})
        for key, row in batch.rows.items():
            is_due = row.row.index in active[key].request.preview_steps
            if is_due and self.inbox.is_open(key[0]):
                assert self._preview is not None
                pixels = self._preview.render(row.row.x0_previous)
                preview = Preview(number=key[1], step=row.row.index, pixels=pixels)
                self._tell(active[key], preview)
        for key, work in self.inbox.ticked(size):
            done = batch.leave(key).row
            assert done.finished
            self._decoder.put(key, work, done.z)

    def _fail(self, key: str, error: CustomDiffusionError) -> None:
        self._tell_failed(self.inbox.fail(key, error))

    def _fail_all(self) -> None:
        self._tell_failed(self.inbox.clear())

    def _tell_failed(self, failed: Iterable[tuple[Work, CustomDiffusionError]]) -> None:
        for work, error in failed:
            self._tell(work, Failed(error))

    def _tell(self, work: Work, event: Event) -> None:
        try:
            work.sink(event)
        except Exception:
            _log.exception("a sink has failed; its request is cancelled")
            self.inbox.cancel(work.key)
