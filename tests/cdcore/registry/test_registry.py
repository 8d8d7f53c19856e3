import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from cdcore.concepts.storage import load_concept
from cdcore.errors import ConceptFileError, RegistryError, UnknownConceptError
from cdcore.registry.entry import concept_folder, object_key, pointer_key
from cdcore.registry.registry import Registry

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def registry(location: str, tmp_path: Path) -> Registry:
    return Registry(location, cache=tmp_path / "cache")


def is_whole(registry: Registry) -> bool:
    """Whether every name and every version that is shown can be loaded."""
    for name in registry.names():
        registry.load(name)
        for version in registry.versions(name):
            registry.resolve(name, version)
    return True


def test_what_is_published_is_what_is_loaded(registry: Registry, concept_files: list[Path]) -> None:
    assert registry.names() == []
    assert registry.entries() == []
    entry = registry.publish(concept_files[0])
    assert (entry.name, entry.version[:2]) == ("mycat", "1-")
    assert entry.size_bytes == concept_files[0].stat().st_size
    assert json.loads(entry.metadata["custom_diffusion"])["subjects"][0]["class_noun"] == "cat"
    assert registry.resolve("mycat").read_bytes() == concept_files[0].read_bytes()
    other = registry.publish(concept_files[1].read_bytes(), "your-cat")
    assert registry.entries() == [entry, other] == [registry.entry("mycat"), other]
    loaded = registry.load("your-cat")
    assert loaded.name == "your-cat"
    assert torch.equal(loaded.update.dense(), load_concept(concept_files[1]).update.dense())
    assert registry.store.read(object_key("mycat", entry.version)) == concept_files[0].read_bytes()
    assert registry.address("mycat", entry.version).endswith(f"/mycat/{entry.version}.safetensors")


def test_each_content_is_one_version(registry: Registry, concept_files: list[Path]) -> None:
    entries = [registry.publish(file) for file in concept_files[:3]]
    versions = [entry.version for entry in entries]
    assert [version.partition("-")[0] for version in versions] == ["1", "2", "3"]
    assert registry.publish(concept_files[2]) == entries[2]
    again = registry.publish(concept_files[0])
    assert again.history == (*versions, versions[0])
    assert registry.versions("mycat") == versions
    for number, (file, version) in enumerate(zip(concept_files, versions, strict=False), start=1):
        for wanted in (version, str(number)):
            assert registry.resolve("mycat", wanted).read_bytes() == file.read_bytes()


def test_rolling_back_twice_goes_back_two_and_skips_what_was_bad(
    registry: Registry, concept_files: list[Path]
) -> None:
    one, two, three, four = (registry.publish(file).version for file in concept_files)
    assert registry.rollback("mycat").version == three
    assert registry.rollback("mycat").version == two
    # A version that was rolled back is not what was before the next one.
    five = registry.publish(concept_files[3].read_bytes()).version
    assert five == four
    assert registry.rollback("mycat").version == two
    assert registry.rollback("mycat", "3").history == (one, two, three)
    assert registry.rollback("mycat", one).history == (one,)
    with pytest.raises(UnknownConceptError, match="no earlier version"):
        registry.rollback("mycat")
    assert registry.resolve("mycat").read_bytes() == concept_files[0].read_bytes()
    assert registry.versions("mycat") == [one, two, three, four]


def test_what_is_deleted_is_gone_and_the_current_version_is_kept(
    registry: Registry, concept_files: list[Path]
) -> None:
    one, two, three = (registry.publish(file).version for file in concept_files[:3])
    with pytest.raises(RegistryError, match="is current"):
        registry.delete("mycat", three)
    registry.delete("mycat", two)
    assert registry.versions("mycat") == [one, three]
    assert registry.rollback("mycat").version == one
    registry.delete("mycat")
    assert registry.names() == []
    assert registry.versions("mycat") == []
    for missing in (registry.delete, registry.entry, registry.resolve, registry.load):
        with pytest.raises(UnknownConceptError, match="no concept 'mycat'"):
            missing("mycat")
    assert registry.publish(concept_files[0]).version == one
    assert is_whole(registry)


def test_no_name_or_version_of_a_client_leaves_the_registry(
    registry: Registry, concept_files: list[Path], tmp_path: Path
) -> None:
    registry.publish(concept_files[0])
    (tmp_path / "1-0123456789abcdef.safetensors").write_text("outside")
    calls: list[Any] = [registry.resolve, registry.delete, registry.rollback, registry.load]
    for call in calls:
        for name in ("../..", "/etc", "a/b", "", "mycat/../mycat"):
            with pytest.raises(RegistryError, match="no name for a registry"):
                call(name)
        for version in ("../../1-0123456789abcdef", "9", "", "1-", "..", "*"):
            with pytest.raises(UnknownConceptError, match="no version"):
                call("mycat", version)
    with pytest.raises(RegistryError, match="no name for a registry"):
        registry.publish(concept_files[0], "../x")


def test_only_a_concept_file_is_published(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("a text")
    for source in (tmp_path / "x.safetensors", tmp_path / "missing.safetensors", b"", b"a text"):
        with pytest.raises(ConceptFileError):
            registry.publish(source, "mycat")
    assert registry.names() == registry.versions("mycat") == []


def test_a_damaged_or_missing_file_is_refused_until_it_is_published_again(
    registry: Registry, concept_files: list[Path]
) -> None:
    entry = registry.publish(concept_files[0])
    key = object_key("mycat", entry.version)
    registry.store.put(key, concept_files[0].read_bytes()[:-1])
    with pytest.raises(RegistryError, match="damaged"):
        registry.resolve("mycat")
    registry.store.delete(key)
    for version in (None, entry.version):
        with pytest.raises(UnknownConceptError):
            registry.resolve("mycat", version)
    registry.publish(concept_files[0])
    assert is_whole(registry)


def test_two_contents_of_one_number_are_told_apart(
    registry: Registry, concept_files: list[Path]
) -> None:
    """As two publishers on an object store leave them when they start from the same listing."""
    one = registry.publish(concept_files[0]).version
    two = registry.publish(concept_files[1]).version
    twin = "1-" + two.partition("-")[2]
    registry.store.put(object_key("mycat", twin), concept_files[1].read_bytes())
    with pytest.raises(RegistryError, match=f"is {min(one, twin)} or {max(one, twin)}"):
        registry.resolve("mycat", "1")
    assert registry.resolve("mycat", twin).read_bytes() == concept_files[1].read_bytes()


def test_publishers_at_once_lose_nothing(
    registry: Registry, location: str, concept_files: list[Path]
) -> None:
    failures: list[BaseException] = []

    def publish(file: Path) -> None:
        try:
            Registry(location, cache=file.parent / "cache").publish(file)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(file,)) for file in concept_files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    contents = {registry.resolve("mycat", v).read_bytes() for v in registry.versions("mycat")}
    assert contents == {file.read_bytes() for file in concept_files}
    assert registry.resolve("mycat").read_bytes() in contents
    if registry.store.is_local:
        assert sorted(registry.entry("mycat").history) == registry.versions("mycat")


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from cdcore.registry.object_store import ObjectStore
from cdcore.registry.registry import Registry
put = ObjectStore.put
def put_or_die(self, key, data):
    if key.startswith("current/"):
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, data)
ObjectStore.put = put_or_die
Registry(sys.argv[1], cache=Path(sys.argv[2])).publish(Path(sys.argv[3]))
"""

PUBLISHED_FOR_EVER = """
import sys
from pathlib import Path
from cdcore.registry.registry import Registry
registry = Registry(sys.argv[1], cache=Path(sys.argv[2]))
sys.stdout.write("ready\\n")
sys.stdout.flush()
while True:
    for file in sys.argv[3:]:
        registry.publish(Path(file))
    registry.rollback("mycat")
    registry.delete("mycat", registry.versions("mycat")[0])
    registry.delete("mycat")
"""


def publisher(script: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("was_published", [False, True])
def test_a_kill_between_the_two_writes_changes_nothing_and_publishing_again_mends_it(
    registry: Registry,
    location: str,
    concept_files: list[Path],
    tmp_path: Path,
    was_published: bool,
) -> None:
    before = registry.publish(concept_files[0]) if was_published else None
    killed = publisher(KILLED_BETWEEN, location, tmp_path / "cache", concept_files[1])
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert registry.entries() == ([before] if before else [])
    (orphan,) = set(registry.versions("mycat")) - {before.version if before else None}
    assert registry.resolve("mycat", orphan).read_bytes() == concept_files[1].read_bytes()
    assert registry.publish(concept_files[1]).version == orphan
    assert registry.entry("mycat").version == orphan
    assert is_whole(registry)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.31])
def test_a_kill_at_any_moment_leaves_a_whole_registry(
    registry: Registry, location: str, concept_files: list[Path], tmp_path: Path, seconds: float
) -> None:
    with publisher(PUBLISHED_FOR_EVER, location, tmp_path / "cache", *concept_files) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        assert writer.poll() is None
        writer.kill()
    assert is_whole(registry)
    registry.publish(concept_files[3])
    assert registry.resolve("mycat").read_bytes() == concept_files[3].read_bytes()
    # What the killed writer left half-written in a folder is gone with the next publication.
    for folder in (concept_folder("mycat"), "current"):
        assert not [file for file in registry.store.listing(folder) if file.startswith(".")]
    assert registry.store.read(pointer_key("mycat"))
