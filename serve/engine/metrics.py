"""What monitoring reads of an engine."""

from serve.engine.engine import Engine

__all__ = ["figures"]

_LOOKED_UP = (
    *(f"concepts_from_{tier}" for tier in ("host", "loading", "disk", "source")),
    *("prompts_hit", "prompts_miss"),
)
"""What is counted from the first look-up on, and is 0 before."""


def figures(engine: Engine) -> dict[str, float]:
    """Return all figures of an engine, by name.

    Those of the inbox are of one moment, and count requests and row-steps; the others are the
    device's ("ticks", and "rows" and different "blends" in them, added up), the caches', in bytes
    and in how often each tier had what was looked for, and times in seconds.
    """
    host, disk = engine.store.used_bytes
    found = engine.inbox.figures()
    found |= {name: engine.counts[name] for name in ("ticks", "rows", "blends", "pictures")}
    found |= {f"concepts_from_{tier}": count for tier, count in engine.store.lookups.items()}
    found |= {f"prompts_{name}": count for name, count in engine.conditioner.lookups.items()}
    found = dict.fromkeys(_LOOKED_UP, 0.0) | found
    merges_s = list(engine.preparer.merge_s)
    return found | {
        "turn_age_seconds": engine.turn_age_s,
        "merges_recent": len(merges_s),
        "merge_seconds_recent": sum(merges_s),
        "leases": engine.store.leases,
        "host_bytes": host,
        "disk_bytes": disk,
        "merge_bytes": engine.preparer.merges.used_bytes,
        "device_bytes": engine.conditioner.updates.used_bytes,
        "prompt_bytes": engine.conditioner.prompts.used_bytes,
    }
