"""Files for Ray's cluster launcher, as a user edits them."""

import re
from pathlib import Path
from typing import Any

import yaml

__all__ = ["CLUSTER_FILES", "OPTIONS", "read_cluster", "switched_on"]

ROOT = Path(__file__).resolve().parent.parent
CLUSTER_FILES = ("cluster.yaml", "deploy/gcp.yaml")
OPTIONS = [("cluster.yaml", "spot"), ("cluster.yaml", "efa"), ("deploy/gcp.yaml", "spot")]


def switched_on(text: str, option: str) -> str:
    """Return the file after the command that its head gives for an option."""
    command = re.search(rf"sed -i '(s/#{option} //)' ", text)
    assert command is not None, f"{option} is not an option"
    return text.replace(f"#{option} ", "")


def read_cluster(name: str, option: str = "") -> dict[str, Any]:
    """Read a file, with one of its options, and without the comments that explain it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(switched_on(text, option) if option else text)
    return read
