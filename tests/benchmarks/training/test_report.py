"""Tests of `benchmarks.training.report`."""

import io

from rich.console import Console

from benchmarks.training.report import show

POINT = {
    "steps": 25,
    "seconds": 3.25,
    "image_alignment": 0.777,
    "text_alignment": 0.251,
    "prior_drift": 0.345,
}
FIGURES = {
    "quick": False,
    "base": "pocket",
    "machine": {"processor": "a processor", "threads": 2, "date": "2026-01-01"},
    "flops": {
        "sd1": {
            "ours": {"flops": 13.53e12, "reduced_bytes": 76.68e6},
            "stock": {"flops": 22.52e12, "reduced_bytes": 228.4e6},
            "ratio": 0.6007,
        }
    },
    "pace": {"ours": {"steps_per_second": 12.34, "ratio_to_stock": 1.27, "first_step": 0.5}},
    "memory": {"ours": {"before": 500e6, "peak": 640e6}},
    "race": {
        "heats": [
            {"seed": 0, "preparation": 1.5, "stock": POINT, "finish": POINT},
            {"seed": 1, "preparation": 1.5, "stock": POINT, "finish": None},
        ],
        "share_of_stock_seconds": {"training": 0.29, "training and preparation": None},
    },
    "peer_script": {"seconds_per_step": 0.25},
}


def test_every_figure_is_shown() -> None:
    file = io.StringIO()
    show(FIGURES, Console(file=file, width=200))
    shown = file.getvalue()
    for text in ("13.5", "22.5", "0.601", "76.7", "228.4", "12.3", "1.27", "640", "140"):
        assert text in shown
    for text in (
        "3.2",
        "0.777 / 0.251 / 0.345",
        "never",
        "0.29",
        "never reached",
        "a processor, 2 thr",
    ):
        assert text in shown
    assert "quick" not in shown


def test_a_card_stands_for_the_machine_it_is_in() -> None:
    file = io.StringIO()
    machine = FIGURES["machine"] | {"card": "a card"}  # type: ignore[operator]
    show({"quick": True, "base": "pocket", "machine": machine}, Console(file=file, width=200))
    assert "a card" in file.getvalue()
    assert "a processor" not in file.getvalue()
    assert "--quick" in file.getvalue()
