"""Publishing a finished concept: the registry is tried before the work and written after it."""

from cdcore.errors import RunError
from cdcore.registry.registry import Registry
from rayjobs.runs.run_directory import RunDirectory
from rayjobs.runs.result_paths import registry_location

__all__ = ["open_registry", "publish"]


def open_registry(location: str | None) -> Registry | None:
    """Open a registry, and find out now whether it can be written.

    Args:
        location: A folder or URI as the user gave it, or None for no registry.

    Raises:
        ConfigError: The folder would be lost with the job.
        RegistryError: The registry cannot be opened.
        OSError: The registry cannot be written.
    """
    if location is None:
        return None
    registry = Registry(registry_location(location))
    registry.check_writable()
    return registry


def publish(registry: Registry, run: RunDirectory) -> dict[str, str]:
    """Publish the concept of a finished run under the run's name.

    Returns:
        For ``run.json``: its version, and the absolute path or URI of its file.

    Raises:
        RunError: The registry cannot be written any more; the run stays finished.
    """
    try:
        entry = registry.publish(run.concept_file, run.name)
    except OSError as error:
        raise RunError(
            f"{run.concept_file} is finished, but cannot be published ({error}); the same command "
            "publishes it when the registry can be written"
        ) from error
    return {"version": entry.version, "file": registry.address(entry.name, entry.version)}
