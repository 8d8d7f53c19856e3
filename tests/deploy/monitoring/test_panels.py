import promql_parser
import pytest

from deploy.monitoring.panels import ROWS, of_service, of_sweep, of_training
from rayjobs.training import telemetry as training
from tests.deploy.monitoring.promql import names_in, parts_of, selections_in
from tune.reporting import telemetry as sweep


def test_the_panels_show_every_metric_of_a_run() -> None:
    exported = {of_training(name) for name in (*training.GROWING, *training.MOMENTARY)}
    assert names_in("Training") == exported
    assert all(labels == {"run"} for _, labels in selections_in("Training"))


def test_the_panels_show_every_metric_of_a_sweep() -> None:
    assert names_in("Sweeps") == {of_sweep(name) for name in sweep.MOMENTARY}
    assert all(labels == {"sweep"} for _, labels in selections_in("Sweeps"))


def test_a_metric_that_nobody_exports_is_an_error_and_no_empty_panel() -> None:
    for of in (of_training, of_sweep):
        with pytest.raises(KeyError, match="lose"):
            of("lose")


def test_counters_are_asked_for_by_the_name_that_ray_gives_them() -> None:
    assert of_training("steps") == "ray_customdiffusion_training_steps_total"
    assert of_service("ticks") == "ray_customdiffusion_ticks_total"
    assert of_service("backlog_row_steps") == "ray_customdiffusion_backlog_row_steps"


def test_what_the_machines_are_asked_ray_measures() -> None:
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    assert names_in("Machines") <= {f"ray_{name}" for name in METRICS_GAUGES}


def test_counters_are_shown_by_their_rate_and_nothing_else_is() -> None:
    for row, panels in ROWS.items():
        rated = {
            part.args[0].vector_selector.name
            for panel in panels
            for query in panel.queries
            for part in parts_of(query)
            if isinstance(part, promql_parser.Call) and part.func.name == "rate"
        }
        assert rated == {name for name in names_in(row) if name.endswith(("_total", "_bucket"))}
