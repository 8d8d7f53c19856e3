"""Tests of `benchmarks.common.figures`."""

import io
import json
from pathlib import Path

from rich.console import Console

from benchmarks.common.figures import save_figures


def test_figures_are_saved_where_a_path_is_given(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, width=40)
    save_figures(None, {"seconds": 1.5}, console)
    assert not text.getvalue()
    path = tmp_path / "new" / "figures.json"
    save_figures(path, {"seconds": 1.5}, console)
    assert json.loads(path.read_text(encoding="utf-8")) == {"seconds": 1.5}
    assert text.getvalue() == f"{path}\n"
