import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from deploy.monitoring.dashboard import FILE, dashboard, text

ROOT = Path(__file__).resolve().parents[3]
PANELS: list[dict[str, Any]] = dashboard()["panels"]


def test_the_stored_dashboard_is_the_one_that_is_made() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "python deploy/monitoring/dashboard.py"


def test_the_script_writes_the_same_anywhere(tmp_path: Path) -> None:
    before = FILE.read_bytes()
    script = ROOT / "deploy" / "monitoring" / "dashboard.py"
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True, timeout=120)
    assert FILE.read_bytes() == before


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
    assert all(one["gridPos"]["y"] <= next_["gridPos"]["y"] for one, next_ in pairwise(PANELS))


def test_every_panel_says_what_it_is_for_and_asks_the_chosen_prometheus() -> None:
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source["uid"] == "${datasource}" for source in sources)
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))


def test_every_variable_that_a_panel_uses_is_one_of_the_dashboard() -> None:
    given = {f"${variable['name']}" for variable in dashboard()["templating"]["list"]}
    for panel in PANELS:
        for target in panel.get("targets", []):
            words = target["expr"].replace('"', " ").replace("]", " ").replace("[", " ").split()
            used = {word for word in words if word.startswith("$")}
            assert used <= given | {"$__rate_interval"}
    assert json.loads(text())["uid"]


def test_prometheus_is_pointed_at_the_file_that_ray_writes() -> None:
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    settings = yaml.safe_load((FILE.parent / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = settings["scrape_configs"]
    ((path,),) = (one["files"] for one in job["file_sd_configs"])
    assert path == f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"
