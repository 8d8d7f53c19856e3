"""Tests of `serve.gateway.telemetry`."""

import time

from deploy.monitoring.panels import of_service
from serve.engine.metrics import figures
from serve.gateway.host import EngineHost
from serve.gateway.telemetry import Telemetry
from tests.deploy.monitoring.promql import names_in
from tests.serve.metrics_case import Metrics


def test_counters_come_to_the_figures_however_often_they_are_published() -> None:
    known, metrics = {"ticks": 0.0, "requests": 2.0, "concepts_from_disk": 1.0}, Metrics()
    telemetry = Telemetry(lambda: known, metrics.counter, metrics.gauge)
    for ticks, requests in ((0, 2), (5, 0), (5, 1), (9, 0)):
        known |= {"ticks": ticks, "requests": requests}
        telemetry.publish()
        assert metrics.values["customdiffusion_ticks"] == ticks
        assert metrics.values["customdiffusion_requests"] == requests
    assert metrics.values["customdiffusion_concepts_from_disk"] == 1
    assert metrics.kinds == {
        "customdiffusion_ticks": "counter",
        "customdiffusion_requests": "gauge",
        "customdiffusion_concepts_from_disk": "counter",
    }


def test_an_engine_s_figures_are_published_until_the_end(host: EngineHost) -> None:
    metrics = Metrics()
    telemetry = Telemetry(
        lambda: figures(host.engine), metrics.counter, metrics.gauge, every_s=0.01
    )
    telemetry.start()
    deadline = time.monotonic() + 300
    while "customdiffusion_backlog_row_steps" not in metrics.kinds:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    telemetry.close()
    counters = {name for name, kind in metrics.kinds.items() if kind == "counter"}
    for name in (
        "ticks",
        "tick_seconds",
        "rows",
        "blends",
        "cancelled_steps",
    ):
        assert f"customdiffusion_{name}" in counters
    for name in ("backlog_row_steps", "turn_age_seconds", "merge_seconds_recent", "prompt_bytes"):
        assert metrics.kinds[f"customdiffusion_{name}"] == "gauge"


def test_a_look_that_fails_is_not_the_last() -> None:
    seen: list[int] = []

    def fail() -> dict[str, float]:
        seen.append(1)
        raise ZeroDivisionError

    metrics = Metrics()
    telemetry = Telemetry(fail, metrics.counter, metrics.gauge, every_s=0.01)
    telemetry.start()
    deadline = time.monotonic() + 300
    while len(seen) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    telemetry.close()


def test_the_dashboard_shows_figures_that_an_engine_has(host: EngineHost) -> None:
    exported = {of_service(name) for name in figures(host.engine)}
    of_serve = {name for name in names_in("Service") if name.startswith("ray_serve_")}
    assert names_in("Service") - of_serve <= exported
    assert len(of_serve) == 2
