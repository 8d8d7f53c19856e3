"""Settings of earlier versions: what files of runs and sweeps call them, and their names of now."""

from collections.abc import Mapping
from typing import Any

from cdcore.training.config import FORMER_WEIGHTINGS

__all__ = ["by_first_names", "by_present_names"]

_RENAMED = {"prior_weighting": FORMER_WEIGHTINGS}
"""The former values of a setting, and those of now."""


def by_present_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run of any version as this version names them."""
    return dict(settings) | _values(settings, _RENAMED)


def by_first_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as the version named them that first had them.

    Checkpoints know their run by a hash of its settings, which a new name must not change.
    """
    first = {
        name: {present: former for former, present in values.items()}
        for name, values in _RENAMED.items()
    }
    return dict(settings) | _values(settings, first)


def _values(
    settings: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    return {
        name: values[settings[name]]
        for name, values in names.items()
        if isinstance(settings.get(name), str) and settings[name] in values
    }
