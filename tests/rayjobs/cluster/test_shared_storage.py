from pathlib import Path
from typing import Any

import pytest
import ray
import ray.exceptions

from cdcore.errors import ConfigError
from rayjobs.cluster import shared_storage as nodes
from rayjobs.cluster.shared_storage import check_shared, write_answer


def node(name: str, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {
        "NodeID": name,
        "NodeManagerAddress": f"10.0.0.{name}",
        "Alive": alive,
        "Resources": resources,
    }


class Nodes:
    """Stands for a cluster: each node sees a folder of its own in the place of the driver's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *listed: dict[str, Any]) -> None:
        self.seen: dict[str, Path] = {}
        self.asked: list[str] = []
        self.silent: set[str] = set()
        monkeypatch.setattr(ray, "nodes", lambda: list(listed))
        monkeypatch.setattr(
            ray, "get_runtime_context", lambda: type("Own", (), {"get_node_id": lambda _: "1"})()
        )
        monkeypatch.setattr(ray, "wait", lambda tasks, **_: (tasks, []))
        monkeypatch.setattr(ray, "get", self.answer)
        monkeypatch.setattr(nodes, "_ask", lambda node, *paths: (node, *paths))

    def answer(self, task: tuple[str, Path, Path], timeout: float) -> str:
        name, probe, answer = task
        self.asked.append(name)
        if name in self.silent:
            raise ray.exceptions.GetTimeoutError
        folder = self.seen.get(name, probe.parent)
        return write_answer(folder / probe.name, folder / answer.name)


def test_one_node_is_asked_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Nodes(monkeypatch, node("1", CPU=8), node("2", alive=False, CPU=8), node("3", GPU=1))
    check_shared(tmp_path / "missing", kind="CPU")
    assert cluster.asked == []


def test_each_node_that_could_hold_a_worker_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Nodes(monkeypatch, node("1", CPU=8), node("2", CPU=8), node("3", CPU=8, GPU=1))
    check_shared(tmp_path, kind="CPU")
    assert cluster.asked == ["2", "3"]
    check_shared(tmp_path, kind="GPU")
    assert cluster.asked == ["2", "3", "3"]
    assert not list(tmp_path.iterdir())


def test_a_node_with_another_folder_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other, none = tmp_path / "here", tmp_path / "other", tmp_path / "none"
    folder.mkdir()
    other.mkdir()
    cluster = Nodes(monkeypatch, node("1", CPU=8), node("2", CPU=8))
    for seen in (other, none):
        cluster.seen["2"] = seen
        with pytest.raises(ConfigError, match=r"node 10\.0\.0\.2.*No such file") as caught:
            check_shared(folder, kind="CPU")
        assert "--output" in str(caught.value)
        assert "\n" not in str(caught.value)
    cluster.silent.add("2")
    with pytest.raises(ConfigError, match="not answered in 90 s"):
        check_shared(folder, kind="CPU")
    assert not none.exists()
    assert not [*folder.iterdir(), *other.iterdir()]


def test_a_file_of_another_content_is_not_the_driver_s(tmp_path: Path) -> None:
    probe, answer = tmp_path / "probe", tmp_path / "answer"
    probe.write_text("of something else")
    assert write_answer(probe, answer) == "it sees another file there"
    probe.write_text("probe")
    assert write_answer(probe, tmp_path / "missing" / "answer") == "No such file or directory"
    assert write_answer(probe, answer) == ""
