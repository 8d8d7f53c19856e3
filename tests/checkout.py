"""The code alone, as a checkout has it."""

import shutil
from pathlib import Path

__all__ = ["copy_checkout"]

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    *("cdcore", "raycluster", "rayjobs", "serve", "tune", "examples", "deploy"),
    *("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "cluster.yaml", ".gitignore"),
)


def copy_checkout(folder: Path) -> None:
    """Copy what a checkout has, without what tools have left in it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder / part)
