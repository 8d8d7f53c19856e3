from pathlib import Path

import pytest

from cdcore.registry.entry import pointer_key
from cdcore.registry.registry import Registry
from cdcore.registry.watch import RegistryChanges, RegistryWatch


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def registry(location: str, tmp_path: Path) -> Registry:
    return Registry(location, cache=tmp_path / "cache")


def versions(changes: RegistryChanges) -> dict[str, str]:
    return {name: entry.version for name, entry in changes.published.items()}


def test_each_change_is_told_once_however_fast_they_follow(
    registry: Registry, concept_files: list[Path]
) -> None:
    clock = Clock()
    watch = RegistryWatch(registry, clock)
    assert watch.look() == RegistryChanges()
    one = registry.publish(concept_files[0])
    assert versions(watch.look()) == {"mycat": one.version}
    assert watch.look() == RegistryChanges()
    # On S3 these fall into one tick of its clock, and the pointers are of one size.
    for _ in range(3):
        registry.rollback("mycat", registry.publish(concept_files[1]).version)
        other = registry.entry("mycat")
        assert versions(watch.look()) == {"mycat": other.version}
        back = registry.rollback("mycat")
        assert versions(watch.look()) == {"mycat": back.version}
    registry.publish(concept_files[2], "dog")
    assert set(watch.look().published) == {"dog"}
    registry.delete("mycat")
    assert watch.look() == RegistryChanges(removed={"mycat"})
    registry.publish(concept_files[0])
    assert versions(watch.look()) == {"mycat": one.version}
    clock.now_s = 10
    assert watch.look() == RegistryChanges()


def test_a_settled_registry_is_not_read(
    registry: Registry, concept_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    reads: list[str] = []
    watch = RegistryWatch(registry, clock)
    for name in ("a", "b", "c"):
        registry.publish(concept_files[0], name)
    watch.look()
    clock.now_s = 5
    watch.look()
    read = registry.store.read

    def counted(key: str) -> bytes:
        reads.append(key)
        return read(key)

    monkeypatch.setattr(registry.store, "read", counted)
    assert watch.look() == RegistryChanges()
    assert reads == []
    registry.publish(concept_files[1], "b")
    reads.clear()
    assert set(watch.look().published) == {"b"}
    assert reads == [pointer_key("b")]


def test_a_damaged_pointer_hides_no_other_and_is_told_until_it_is_mended(
    registry: Registry, concept_files: list[Path]
) -> None:
    watch = RegistryWatch(registry)
    registry.publish(concept_files[0], "a")
    watch.look()
    registry.store.put(pointer_key("a"), b"{")
    registry.store.put("current/notes.txt", b"no pointer")
    registry.publish(concept_files[0], "b")
    changes = watch.look()
    assert set(changes.published) == {"b"}
    assert set(changes.damaged) == {"a"}
    assert set(watch.look().damaged) == {"a"}
    registry.delete("a")
    registry.publish(concept_files[0], "a")
    changes = watch.look()
    assert not changes.damaged
    assert set(changes.published) == {"a"}


def test_an_error_between_two_pointers_loses_no_change(
    registry: Registry, concept_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = RegistryWatch(registry)
    registry.publish(concept_files[0], "a")
    registry.publish(concept_files[0], "b")
    read = registry.store.read

    def fail_late(key: str) -> bytes:
        if key == pointer_key("b"):
            raise OSError("connection lost")
        return read(key)

    with monkeypatch.context() as patched:
        patched.setattr(registry.store, "read", fail_late)
        with pytest.raises(OSError, match="connection lost"):
            watch.look()
    assert set(watch.look().published) == {"a", "b"}
