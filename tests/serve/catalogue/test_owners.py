"""Tests of `serve.catalogue.owners`."""

from pathlib import Path

from cdcore.registry.object_store import ObjectStore
from serve.catalogue.owners import NOBODY, Owners


def test_owners_are_seen_by_other_processes_at_the_next_look(tmp_path: Path) -> None:
    ours, theirs = (Owners(ObjectStore(tmp_path)) for _ in range(2))
    assert ours.owner_now("mycat") is None
    ours.write("mycat", "alice")
    assert theirs.owner("mycat") is None
    assert theirs.owner_now("mycat") == "alice"
    theirs.look()
    assert theirs.owner("mycat") == "alice"
    ours.forget("mycat")
    theirs.look()
    assert theirs.owner("mycat") is None


def test_an_unreadable_owner_is_nobody(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    owners = Owners(store)
    for text in (b"", b"[]", b"{}"):
        store.put("owners/mycat.json", text)
        owners.look()
        assert owners.owner("mycat") == owners.owner_now("mycat") == NOBODY
