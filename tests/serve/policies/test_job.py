"""Tests of `serve.policies.job`."""

import subprocess
import sys

POLICIES = ("backlog", "byte_lru", "concept_cache", "fair_queue", "job", "tier", "scheduler")


def test_the_policies_load_no_torch_and_no_ray() -> None:
    imports = "".join(f"import serve.{name}\n" for name in POLICIES)
    tail = "import sys\nsys.stdout.write(' '.join(module.split('.')[0] for module in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", imports + tail],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not set(done.stdout.split()) & {"torch", "ray", "numpy", "fastapi"}
