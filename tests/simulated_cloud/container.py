"""`docker` on a machine of the cloud, as Ray's launcher calls it; one container for each machine.

The container shares the machine's files. Its home, its Python, its variables and its mounts are its
own. Standard library only.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.simulated_cloud.place import CLOUD, IMAGE, SEEN

__all__ = ["docker"]

_HOME = "/home/ray"
_STATE = Path("/run/container.json")


def docker(words: list[str]) -> int:
    """Answer one call of the client."""
    with SEEN.open("a") as seen:
        seen.write(json.dumps({"docker": words}) + "\n")
    verb, rest = words[0], words[1:]
    if verb == "info":
        sys.stdout.write("map[io.containerd.runc.v2:{runc [] <nil>}]\n")
    elif verb == "inspect":
        sys.stdout.write(_inspected(rest))
    elif verb == "run":
        _start(rest)
    elif verb == "exec":
        return _execute(rest)
    elif verb != "pull":
        sys.stderr.write(f"docker {verb}: not in this cloud\n")
        return 1
    return 0


def _inspected(words: list[str]) -> str:
    state = json.loads(_STATE.read_text()) if _STATE.is_file() else {}
    template = words[1].strip("{} ")
    if template == "json .Config.Env":
        return json.dumps([f"HOME={_HOME}", "PATH=/usr/bin"]) + "\n"
    if not state:
        return "\n"
    if template == "json .Mounts":
        return json.dumps([{"Destination": there} for there in state["mounts"]]) + "\n"
    answers: dict[str, str] = {".State.Running": "true", ".Config.Image": state["image"]}
    return answers[template] + "\n"


def _start(words: list[str]) -> None:
    """`docker run OPTION... IMAGE bash`: mount what is asked for, and remember the variables."""
    variables, mounts = {}, []
    while words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option in ("-v", "-e", "--name"):
            value = words.pop(0)
        if option in ("-v", "--volume"):
            mounts.append(value.partition(":")[::2])
        elif option in ("-e", "--env"):
            name, _, text = value.partition("=")
            variables[name] = text
    for here, there in mounts:
        # Of a machine's file or folder that is not there, Docker makes a folder.
        if not Path(here).exists():
            Path(here).mkdir(parents=True)
        target = Path(there)
        if Path(here).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        else:
            target.mkdir(parents=True, exist_ok=True)
        if here != there:
            subprocess.run(["mount", "--bind", here, there], check=True)
    state = {"image": words[0], "env": variables, "mounts": [there for _, there in mounts]}
    _STATE.write_text(json.dumps(state))


def _execute(words: list[str]) -> int:
    while words[0].startswith("-"):
        words.pop(0)
    command = words[1:]
    if command[0] == "printenv":
        sys.stdout.write(f"{_HOME}\n")
        return 0
    state = json.loads(_STATE.read_text())
    path = f"{IMAGE}/bin:{CLOUD}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
    own = {"HOME": _HOME, "PATH": path, "USER": "root", "TERM": "dumb"}
    inside = json.loads((CLOUD / "image.json").read_text())
    os.chdir(_HOME)
    return subprocess.run(command, env=own | inside | state["env"], check=False).returncode
