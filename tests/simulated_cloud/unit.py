"""What systemd would do with a unit: its variables, folder and command as one line of shell."""

import shlex
from collections import defaultdict
from pathlib import Path

__all__ = ["command_line", "read_unit"]


def read_unit(path: Path) -> dict[str, list[str]]:
    """Read the settings of a unit, each with its values in order."""
    found = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return dict(found)


def command_line(path: Path, **more: str) -> str:
    """Return a command of root that starts a unit as its user, with some more variables."""
    unit = read_unit(path)
    user = unit["User"][0]
    folders = [f"/var/lib/{name}" for name in unit.get("StateDirectory", [])]
    folders += [f"/var/cache/{name}" for name in unit.get("CacheDirectory", [])]
    made = "".join(f"install -d -o {user} {shlex.quote(folder)} && " for folder in folders)
    given = {"HOME": f"/var/lib/{user}", "USER": user, **more}
    variables = [f"{name}={value}" for name, value in given.items()] + unit["Environment"]
    started = ["runuser", "-u", user, "--", "env", "-i", *variables, *unit["ExecStart"][0].split()]
    return f"{made}cd {unit['WorkingDirectory'][0]} && exec {shlex.join(started)}"
