"""Tests of `serve.policies.job`."""

import subprocess
import sys
from pathlib import Path

from serve import policies

FOLDER = Path(policies.__file__).parent


def test_the_policies_load_no_torch_and_no_ray() -> None:
    names = sorted(file.stem for file in FOLDER.glob("*.py"))
    assert "scheduler" in names
    imports = "".join(f"import serve.policies.{name}\n" for name in names)
    tail = "import sys\nsys.stdout.write(' '.join(module.split('.')[0] for module in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", imports + tail],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not set(done.stdout.split()) & {"torch", "ray", "numpy", "fastapi", "pydantic"}
