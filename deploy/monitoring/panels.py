"""What the dashboard shows: the questions to Prometheus, made from the metric names in the code.

A name that no module exports is an error here, not an empty panel there.
"""

from dataclasses import dataclass

from rayjobs.training import telemetry as training
from serve.gateway import telemetry as service
from tune.reporting import telemetry as sweep

__all__ = ["ROWS", "Panel", "Query", "of_service", "of_sweep", "of_training"]

_WINDOW = "[$__rate_interval]"
_RUNS = '{run=~"$run"}'
_SWEEPS = '{sweep=~"$sweep"}'
_PICTURES = '{route=~"/v1/images.*"}'


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus, and the legend of its answers.

    Attributes:
        expression: In PromQL; ``$`` begins a variable of the dashboard.
        legend: In Grafana's form, such as ``{{run}}``.
    """

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of the dashboard.

    Attributes:
        title: Its title.
        unit: A unit that Grafana knows, such as ``s`` or ``percentunit``.
        queries: What it draws, one line for each answer.
        says: What a reader does with it, one sentence.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    says: str


def of_training(name: str) -> str:
    """Return what Prometheus calls a metric of a run.

    Raises:
        KeyError: Runs have no metric of that name.
    """
    if name not in (*training.GROWING, *training.MOMENTARY):
        raise KeyError(name)
    return _exported(training.PREFIX + name, grows=name in training.GROWING)


def of_sweep(name: str) -> str:
    """Return what Prometheus calls a metric of a sweep.

    Raises:
        KeyError: Sweeps have no metric of that name.
    """
    if name not in sweep.MOMENTARY:
        raise KeyError(name)
    return _exported(sweep.PREFIX + name, grows=False)


def of_service(name: str) -> str:
    """Return what Prometheus calls a figure of an engine; which there are, the engine says."""
    return _exported(service.PREFIX + name, grows=service.grows(name))


def _exported(name: str, *, grows: bool) -> str:
    """Return what Ray makes of a name."""
    return f"ray_{name}_total" if grows else f"ray_{name}"


def _rate(name: str) -> str:
    return f"sum(rate({of_service(name)}{_WINDOW}))"


def _ratio(name: str, per: str) -> str:
    return f"{_rate(name)} / {_rate(per)}"


def _gauge(name: str, merged: str = "sum") -> str:
    return f"{merged}({of_service(name)})"


_TRAINING = (
    Panel(
        "Loss",
        "short",
        (Query(f"avg by (run) ({of_training('loss')}{_RUNS})", "{{run}}"),),
        "It is noisy from step to step; a run whose level rises has too high a learning rate.",
    ),
    Panel(
        "Loss of the pictures and of the class",
        "short",
        (
            Query(f"avg by (run) ({of_training('target_loss')}{_RUNS})", "{{run}} pictures"),
            Query(f"avg by (run) ({of_training('prior_loss')}{_RUNS})", "{{run}} class"),
        ),
        "Where the loss of the class rises, the base forgets: give more regularization.",
    ),
    Panel(
        "Time of a step",
        "s",
        (Query(f"avg by (run) ({of_training('step_seconds')}{_RUNS})", "{{run}}"),),
        "A run that is slower than its neighbours has a worker that waits.",
    ),
    Panel(
        "Steps a second, by run",
        "short",
        (Query(f"sum by (run) (rate({of_training('steps')}{_RUNS}{_WINDOW}))", "{{run}}"),),
        "What the cluster trains, added up.",
    ),
    Panel(
        "Progress",
        "percentunit",
        (Query(f"max by (run) ({of_training('progress')}{_RUNS})", "{{run}}"),),
        "A line that has stopped short of 100 % is a run that stands or has died.",
    ),
)

_SWEEP = (
    Panel(
        "Trials by how they have ended",
        "short",
        (
            Query(
                f"max by (sweep, status) ({of_sweep('trials')}{_SWEEPS})", "{{sweep}} {{status}}"
            ),
            Query(f"max by (sweep) ({of_sweep('planned_trials')}{_SWEEPS})", "{{sweep}} planned"),
        ),
        "Open ones wait or train; failed ones say why in the sweep's report.",
    ),
    Panel(
        "Best trial so far",
        "short",
        (
            Query(
                f"max by (sweep, score) ({of_sweep('best_score')}{_SWEEPS})",
                "{{sweep}} {{score}}",
            ),
        ),
        "A sweep whose best has not changed for long has found what it will find.",
    ),
)

_SERVICE = (
    Panel(
        "Answers a second, by status",
        "reqps",
        (
            Query(
                "sum by (status_code) "
                f"(rate(ray_serve_num_http_requests_total{_PICTURES}{_WINDOW}))",
                "{{status_code}}",
            ),
        ),
        "429 is a full backlog, 5xx a lost engine.",
    ),
    Panel(
        "Time of a request for pictures",
        "ms",
        tuple(
            Query(
                f"histogram_quantile({share}, sum by (le) "
                f"(rate(ray_serve_http_request_latency_ms_bucket{_PICTURES}{_WINDOW})))",
                f"p{share * 100:.0f}",
            )
            for share in (0.5, 0.95)
        ),
        "Waiting included.",
    ),
    Panel(
        "Pictures a second",
        "short",
        (Query(_rate("pictures"), "pictures"),),
        "What all engines draw together.",
    ),
    Panel(
        "Requests by how they have ended",
        "reqps",
        tuple(Query(_rate(name), name) for name in ("done", "failed", "refused", "cancelled")),
        "Refused ones were told when to come again.",
    ),
    Panel(
        "Waiting work",
        "short",
        (
            Query(_gauge("backlog_row_steps"), "row-steps"),
            Query(_gauge("requests_without_row"), "requests without a row"),
        ),
        "A backlog that only grows needs another replica.",
    ),
    Panel(
        "Time until the backlog is done",
        "s",
        (Query(_gauge("drain_seconds", "max"), "longest"),),
        "The basis of Retry-After.",
    ),
    Panel(
        "Time of a tick",
        "s",
        (Query(_ratio("tick_seconds", "ticks"), "tick"),),
        "One U-Net step of a batch.",
    ),
    Panel(
        "In a batch",
        "short",
        (
            Query(_ratio("rows", "ticks"), "rows"),
            Query(_ratio("blends", "ticks"), "different mixes"),
        ),
        "Rows near the slots mean full engines; many mixes cost nothing.",
    ),
    Panel(
        "Age of the turn",
        "s",
        (Query(_gauge("turn_age_seconds", "max"), "oldest"),),
        "An engine that stands in one turn for a minute is replaced.",
    ),
    Panel(
        "Merges",
        "s",
        (
            Query(
                f"{_gauge('merge_seconds_recent')} / {_gauge('merges_recent')}",
                "mean of the recent ones",
            ),
        ),
        "A merge that nobody has asked for before.",
    ),
    Panel(
        "Where concepts and prompts come from",
        "short",
        tuple(
            Query(_rate(name), legend)
            for name, legend in (
                ("concepts_from_host", "concepts: memory"),
                ("concepts_from_disk", "concepts: disk"),
                ("concepts_from_source", "concepts: registry"),
                ("prompts_hit", "prompts: cached"),
                ("prompts_miss", "prompts: encoded"),
            )
        ),
        "Many from the registry: a larger host_gib or disk_gib pays.",
    ),
    Panel(
        "Caches",
        "bytes",
        tuple(
            Query(_gauge(f"{name}_bytes"), name)
            for name in ("host", "disk", "merge", "device", "prompt")
        ),
        "Over all replicas; the budgets are in serve/settings.py.",
    ),
)

_MACHINES = (
    Panel(
        "Use of each GPU",
        "percent",
        (Query("ray_node_gpus_utilization", "{{instance}} {{GpuIndex}}"),),
        "Ray's own figure.",
    ),
    Panel(
        "Memory of each GPU",
        "mbytes",
        (Query("ray_node_gram_used", "{{instance}} {{GpuIndex}}"),),
        "Ray's own figure.",
    ),
)

ROWS = {
    "Training": _TRAINING,
    "Sweeps": _SWEEP,
    "Service": _SERVICE,
    "Machines": _MACHINES,
}
"""The rows of the dashboard, in order."""
