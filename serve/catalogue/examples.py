"""The example concepts that the project ships, gathered from ``examples/concepts``."""

import logging
from collections.abc import Sequence
from pathlib import Path

from cdcore.concepts.storage import load_merge_inputs
from cdcore.errors import CustomDiffusionError
from cdcore.registry.entry import check_name
from cdcore.registry.registry import Registry

__all__ = ["publish_examples", "shipped_examples"]

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (_ROOT / "examples" / "concepts", _ROOT / "rayjobs" / "examples" / "concepts")
"""The folders in a checkout and in an installed package, where ``rayjobs.examples`` has them."""


def shipped_examples() -> list[Path]:
    """Return the concept files that the project ships, by name; there may be none."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    return [] if folder is None else sorted(folder.glob("*.safetensors"))


def publish_examples(registry: Registry, files: Sequence[Path], base_fingerprint: str) -> list[str]:
    """Publish concept files of a base under their own names, where nobody has those.

    Args:
        registry: Where the concepts are published.
        files: Concept files; those of other bases are left out.
        base_fingerprint: The base's fingerprint.

    Returns:
        The names that are new.

    Raises:
        OSError: The registry cannot be written.
    """
    published = []
    for file in files:
        try:
            name = check_name(file.stem)
            is_taken = bool(registry.versions(name))
            if is_taken or load_merge_inputs(file).base_fingerprint != base_fingerprint:
                continue
            registry.publish(file, name)
        except CustomDiffusionError as error:
            _log.warning("example %s is not published: %s", file.name, error)
        else:
            published.append(name)
    return published
