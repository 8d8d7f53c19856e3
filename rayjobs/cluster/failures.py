"""What a failed training means to the user: one error to mend, not one for each worker."""

from collections.abc import Iterator

import ray.exceptions

from cdcore.errors import CustomDiffusionError, RunError
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["lost_workers", "mendable"]

_LOST = (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError)


def mendable(error: Exception, run: RunDirectory) -> Exception:
    """Return the user's error behind a failed training, or the failure itself.

    Args:
        error: The error that Ray Train has raised.
        run: The run that has failed.
    """
    cause = _by_the_user(error)
    if cause is not None:
        return cause
    lost = lost_workers(error)
    if not lost:
        return error
    return RunError(
        f"worker {' and '.join(map(str, lost))} was lost after step {run.last_step}: its process "
        "or node has gone without a word (killed, or out of memory); the same command goes on "
        "from the last checkpoint"
    )


def lost_workers(error: Exception) -> list[int]:
    """Return the workers that a training failed by losing; empty where the user is to mend it.

    Args:
        error: The error that Ray Train has raised.
    """
    if _by_the_user(error) is not None:
        return []
    return [
        worker
        for worker, failure in sorted(_failures(error).items())
        if any(isinstance(cause, _LOST) for cause in _causes(failure))
    ]


def _by_the_user(error: Exception) -> Exception | None:
    causes = [cause for failure in _failures(error).values() for cause in _causes(failure)]
    for kind in (CustomDiffusionError, OSError):
        for cause in causes:
            # Where one worker fails, the others lose their connection to it.
            if isinstance(cause, kind) and not isinstance(cause, ConnectionError):
                return cause
    return None


def _failures(error: Exception) -> dict[int, Exception]:
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    return failures


def _causes(failure: Exception) -> Iterator[BaseException]:
    cause: BaseException | None = failure
    while cause is not None:
        yield cause
        # Ray wraps what a worker raises, and why it can no longer ask one, each in its own way.
        wrapped = getattr(cause, "_base_exc", None) or getattr(cause, "health_check_failure", None)
        cause = wrapped or cause.__cause__
