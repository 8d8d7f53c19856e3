"""The autoscaler of a cluster: whether there is one, and waiting for the nodes that it adds.

What an autoscaler could add is known to it alone, so it is asked: a placement group says what a job
needs, and Ray shows it to the autoscaler until it is there. It is given back before the job itself
asks, which then finds the nodes as on any cluster.
"""

import json
from typing import Any

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.experimental.internal_kv import _internal_kv_get
from ray.util.placement_group import placement_group, remove_placement_group

from raycluster.address import is_submitted

__all__ = ["await_nodes", "can_grow"]

_LOOK_S = 2.0


def can_grow() -> bool:
    """Whether the connected cluster has an autoscaler; a job's own cluster has none."""
    if not is_submitted():
        return False
    if is_autoscaler_v2(fetch_from_server=True):
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        # Who starts a node by hand gives it no name that a provider would know it by.
        return any(node.instance_id for node in (*status.active_nodes, *status.idle_nodes))
    told = json.loads(_internal_kv_get(DEBUG_AUTOSCALING_STATUS) or "{}")
    kinds = (told.get("autoscaler_report") or {}).get("active_nodes", {})
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    # Where nobody scales, Ray makes up a kind for each node, named after it.
    return bool(set(kinds) - {f"node_{node['NodeID']}" for node in nodes})


def await_nodes(workers: int, *, use_gpu: bool) -> None:
    """Ask for a place for each of some workers, and return when all are there.

    Args:
        workers: Each lies on one node, with a CPU.
        use_gpu: Whether each has a GPU as well.

    Raises:
        KeyboardInterrupt: The user does not want to wait; nothing is asked for any more.
    """
    place = {"CPU": 1.0, "GPU": 1.0} if use_gpu else {"CPU": 1.0}
    group = placement_group([place] * workers)
    try:
        while not group.wait(timeout_seconds=_LOOK_S):
            pass
    finally:
        remove_placement_group(group)
