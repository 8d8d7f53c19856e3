"""Tests of `serve.concepts.store`."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cdcore.concepts.storage import load_concept
from cdcore.errors import (
    BaseMismatchError,
    ConceptFileError,
    ConfigError,
    RequestCancelledError,
)
from cdcore.model.base import Base
from serve.concepts.mix import ConceptRef
from serve.concepts.store import ConceptStore, Lease
from serve.concepts.tensor_sizes import tensors_in
from tests.serve.engine_case import ALICE, BORIS, CLARA, SIMPLE, FolderSource, mix, running

PATIENCE_S = 60.0


class Asked:
    """A lease, and a way to wait for it."""

    def __init__(self, store: ConceptStore, *references: ConceptRef) -> None:
        self._settled = threading.Event()
        self.times = 0
        self.lease = Lease(references, self._on_settled)
        store.request(self.lease)

    def _on_settled(self, lease: Lease) -> None:
        assert lease is self.lease
        self.times += 1
        self._settled.set()

    def wait(self) -> Lease:
        assert self._settled.wait(PATIENCE_S)
        assert self.times == 1
        return self.lease


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def open_store(
    base: Base,
    source: FolderSource,
    executor: ThreadPoolExecutor,
    folder: Path,
    *,
    host_files: float = 10.0,
    disk_files: float = 10.0,
) -> ConceptStore:
    """A store with budgets in sizes of a dense concept's file."""
    size = source.file_bytes(ALICE)
    return ConceptStore(
        base,
        source,
        folder,
        executor,
        host_bytes=int(host_files * size),
        disk_bytes=int(disk_files * size),
    )


def test_concepts_are_those_of_the_files_and_kept_in_half_precision(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    store = open_store(tiny_base, source, executor, tmp_path)
    lease = Asked(store, ALICE, CLARA).wait()
    assert lease.concepts is not None
    for reference in (ALICE, CLARA):
        read, kept = load_concept(source.path(reference)), lease.concepts[reference]
        assert kept.name == reference.name
        assert torch.equal(kept.update.dense(), read.update.dense())
        assert {part.dtype for part in tensors_in(kept.update)} == {torch.float16}
        assert all(torch.equal(kept.tokens[token], row) for token, row in read.tokens.items())
    assert store.leases == 1
    store.release(lease)
    store.release(lease)
    assert store.leases == 0


def test_files_and_memory_stay_within_their_budgets(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    store = open_store(tiny_base, source, executor, tmp_path, host_files=2.1, disk_files=1.5)
    for reference in (ALICE, BORIS, ALICE, CLARA, BORIS):
        lease = Asked(store, reference).wait()
        assert lease.concepts is not None
        store.release(lease)
        host, disk = store.used_bytes
        assert host <= 2.1 * source.file_bytes(ALICE)
        on_disk = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert on_disk == disk <= 1.5 * source.file_bytes(ALICE)
    assert source.fetched[ALICE] == 2
    with pytest.raises(ConfigError, match="fewer at once"):
        Asked(store, ALICE, BORIS)


def test_what_the_disk_still_has_is_not_fetched_again(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    store = open_store(tiny_base, source, executor, tmp_path, host_files=2.1)
    for reference in (ALICE, BORIS, ALICE):
        store.release(Asked(store, reference).wait())
    assert source.fetched == {ALICE: 1, BORIS: 1}
    assert store.lookups == {"source": 2, "disk": 1}


def test_one_load_serves_all_who_wait(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    store = open_store(tiny_base, source, executor, tmp_path)
    source.gate.clear()
    asked = [Asked(store, ALICE) for _ in range(5)]
    store.release(asked[0].lease)
    source.gate.set()
    leases = [one.wait() for one in asked[1:]]
    assert asked[0].times == 0
    assert len({id(lease.concepts[ALICE]) for lease in leases if lease.concepts}) == 1
    assert source.fetched == {ALICE: 1}


def test_a_damaged_file_fails_all_who_wait_and_is_fetched_again(
    tiny_base: Base,
    source: FolderSource,
    executor: ThreadPoolExecutor,
    tmp_path: Path,
) -> None:
    damaged = FolderSource(tmp_path / "damaged")
    damaged.folder.mkdir()
    whole = source.path(ALICE).read_bytes()
    damaged.path(ALICE).write_bytes(b"\0" * len(whole))
    store = open_store(tiny_base, damaged, executor, tmp_path / "cache")
    damaged.gate.clear()
    asked = [Asked(store, ALICE) for _ in range(2)]
    damaged.gate.set()
    for one in asked:
        error = one.wait().error
        assert isinstance(error, ConceptFileError)
        assert "safetensors" in str(error)
    assert list((tmp_path / "cache").iterdir()) == []
    assert store.leases == store.used_bytes[0] == 0
    damaged.path(ALICE).unlink()
    damaged.path(ALICE).write_bytes(whole)
    assert Asked(store, ALICE).wait().concepts is not None


def test_a_file_larger_than_promised_is_refused(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    class Liar(FolderSource):
        def file_bytes(self, reference: ConceptRef) -> int:
            return super().file_bytes(reference) // 2

    store = ConceptStore(
        tiny_base, Liar(source.folder), tmp_path, executor, host_bytes=10**9, disk_bytes=10**9
    )
    error = Asked(store, ALICE).wait().error
    assert error is not None
    assert "promised" in str(error)


def test_what_an_earlier_store_has_left_is_deleted(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    (tmp_path / "old.safetensors").write_bytes(b"left over")
    open_store(tiny_base, source, executor, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_name_reaches_the_file_system(
    tiny_base: Base, source: FolderSource, executor: ThreadPoolExecutor, tmp_path: Path
) -> None:
    class Anything(FolderSource):
        def path(self, reference: ConceptRef) -> Path:
            return source.path(ALICE)

    cache = tmp_path / "cache"
    store = open_store(tiny_base, Anything(source.folder), executor, cache)
    for name in ("../../evil", "/etc/evil", "a/b", "\0", "x" * 5000):
        assert Asked(store, ConceptRef(name, "1")).wait().concepts is not None
    assert {path.parent for path in tmp_path.rglob("*.safetensors")} == {cache}


def test_a_slow_load_stops_nobody_and_is_shared(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    with running(tiny_base, source, tmp_path / "cache") as engine:
        source.gate.clear()
        cold = [engine.ask(replace(SIMPLE, mix=mix(BORIS), seeds=(n,))) for n in range(2)]
        warm = engine.ask(SIMPLE).result(PATIENCE_S).pictures[0]
        assert warm.isfinite().all()
        assert all(ticket.inbox.empty() for ticket in cold)
        cold[1].cancel()
        with pytest.raises(RequestCancelledError):
            cold[1].result(PATIENCE_S)
        source.gate.set()
        assert cold[0].result(PATIENCE_S).pictures[0].isfinite().all()
        assert source.fetched == {BORIS: 1}


def test_a_concept_of_another_base_is_refused(
    tiny_base: Base, source: FolderSource, tmp_path: Path
) -> None:
    other = replace(tiny_base, fingerprint="0" * 64)
    request = replace(SIMPLE, mix=mix(ALICE))
    cache = tmp_path / "cache"
    with running(other, source, cache) as engine, pytest.raises(BaseMismatchError, match="'alice'"):
        engine.ask(request).result(PATIENCE_S)
