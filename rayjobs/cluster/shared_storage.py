"""The nodes of a cluster that a run may be placed on, and whether they share the run's folder.

How a folder is checked: the driver writes a file into it; a task on each node that could hold a
worker reads that file and writes one of its own, which the driver reads.
"""

import uuid
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cdcore.errors import ConfigError
from rayjobs.runs.result_paths import ROOT_VARIABLE

__all__ = ["check_shared", "write_answer"]

_PATIENCE_S = 90
"""How long a node may take to start a process and answer."""


def check_shared(folder: Path, *, kind: str) -> None:
    """Refuse a folder that some node does not share; nothing is left in it.

    Args:
        folder: Absolute; exists on this node.
        kind: Resource that a worker needs, ``CPU`` or ``GPU``.

    Raises:
        ConfigError: A node sees another folder, cannot write to it, or does not answer.
        OSError: This node cannot write to it.
    """
    others = _others(kind)
    if not others:
        return
    probe = folder / f".probe-{uuid.uuid4().hex}"
    answers = {node: probe.with_name(f"{probe.name}-{node[:16]}") for node in others}
    try:
        probe.write_text(probe.name)
        tasks = {node: _ask(node, probe, answer) for node, answer in answers.items()}
        ray.wait(list(tasks.values()), num_returns=len(tasks), timeout=_PATIENCE_S)
        for node, task in tasks.items():
            reason = _reason(task, answers[node])
            if reason:
                raise ConfigError(
                    f"node {others[node]} does not share {folder} with this one ({reason}); on "
                    "several nodes give an --output on storage that all of them mount at the same "
                    f"place, or set {ROOT_VARIABLE} to it"
                )
    finally:
        for path in (probe, *answers.values()):
            path.unlink(missing_ok=True)


def write_answer(probe: Path, answer: Path) -> str:
    """Read the driver's file and write one beside it; return what is wrong, or nothing."""
    try:
        if probe.read_text() != probe.name:
            return "it sees another file there"
        answer.write_text(answer.name)
    except OSError as error:
        return f"{error.strerror or error}"
    return ""


def _others(kind: str) -> dict[str, str]:
    """Return the addresses of the other nodes that could hold a worker, by their ids."""
    own = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: str(node["NodeManagerAddress"])
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and node["NodeID"] != own and node["Resources"].get(kind, 0) > 0
    }


def _ask(node: str, probe: Path, answer: Path) -> Any:
    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(write_answer)
    return task.options(scheduling_strategy=there).remote(probe, answer)


def _reason(task: Any, answer: Path) -> str:
    try:
        reason: str = ray.get(task, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"it has not answered in {_PATIENCE_S} s"
    except ray.exceptions.RayError as error:
        return f"it cannot be asked: {str(error).splitlines()[-1]}"
    if reason:
        return reason
    try:
        return "" if answer.read_text() == answer.name else "its file is another here"
    except OSError as error:
        return f"its file is not here: {error.strerror}"
