"""A ComfyUI checkout, where a path to one is given, in a process of its own.

``COMFYUI_PATH=~/ComfyUI pytest -m slow tests/cdcore/formats`` runs what needs it. Where packages
that only ComfyUI requires are not installed, ``COMFYUI_PACKAGES`` is a folder that has them.
"""

import json
import os
import subprocess
import sys
from typing import Any

_HEAD = """
import json, sys
task = json.loads(sys.stdin.read())
sys.argv = ["comfyui", "--cpu"]
sys.path.insert(0, task["comfyui"])
import comfy.options
comfy.options.enable_args_parsing()
"""
_TAIL = "\nsys.stdout.write('\\n' + json.dumps(result))\n"


def run_in_comfyui(script: str, task: dict[str, Any]) -> Any:
    """Run ``script``, which reads ``task`` and sets ``result``, both JSON."""
    given = json.dumps(task | {"comfyui": os.path.expanduser(os.environ["COMFYUI_PATH"])})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _HEAD + script + _TAIL],
        input=given,
        env=os.environ | {"PYTHONPATH": os.environ.get("COMFYUI_PACKAGES", "")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not loaded" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
