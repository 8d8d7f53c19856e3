"""Write the Grafana dashboard of training, sweeps and the service.

    python deploy/monitoring/dashboard.py

makes `dashboard.json` beside this file from `panels.py`; a test holds that the stored one is that.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from deploy.monitoring.panels import ROWS, Panel, of_sweep, of_training

__all__ = ["FILE", "dashboard", "text"]

FILE = Path(__file__).resolve().parent / "dashboard.json"
"""The stored dashboard."""

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ACROSS = 3
"""Panels side by side."""
_WIDTH, _HEIGHT = 24 // _ACROSS, 8
"""Of a panel, in Grafana's units: 24 of them are as wide as the page."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana's JSON model."""
    return {
        "uid": "customdiffusion",
        "title": "Custom Diffusion on Ray",
        "tags": ["customdiffusion", "ray"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def text() -> str:
    """Return the dashboard as it is stored."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource"}
    return [
        {**source, "query": "prometheus"},
        _choice("run", of_training("progress")),
        _choice("sweep", of_sweep("planned_trials")),
    ]


def _choice(label: str, metric: str) -> dict[str, Any]:
    """Let a reader choose among the values of a label."""
    return {
        "name": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values({metric}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in ROWS.items():
        number += 1
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        y += 1
        for index, panel in enumerate(panels):
            number += 1
            row, column = divmod(index, _ACROSS)
            place = {"x": column * _WIDTH, "y": y + row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield {"id": number, "gridPos": place, **_panel(panel)}
        y += -(-len(panels) // _ACROSS) * _HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
