"""What a failed training means to the user: one error to mend, not one for each worker."""

from collections.abc import Iterator

import ray.exceptions

from cdcore.errors import CustomDiffusionError, RunError
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["mendable"]

_LOST = (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError)


def mendable(error: Exception, run: RunDirectory) -> Exception:
    """Return the user's error behind a failed training, or the failure itself.

    Args:
        error: The error that Ray Train has raised.
        run: The run that has failed.
    """
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    causes = [cause for failure in failures.values() for cause in _causes(failure)]
    for kind in (CustomDiffusionError, OSError):
        for cause in causes:
            # Where one worker fails, the others lose their connection to it.
            if isinstance(cause, kind) and not isinstance(cause, ConnectionError):
                return cause
    lost = [
        str(worker)
        for worker, failure in sorted(failures.items())
        if any(isinstance(cause, _LOST) for cause in _causes(failure))
    ]
    if not lost:
        return error
    steps = run.read_metrics()
    return RunError(
        f"worker {' and '.join(lost)} was lost after step {steps[-1]['step'] if steps else 0}: its "
        "process or node has gone without a word (killed, or out of memory); the same command goes "
        "on from the last checkpoint"
    )


def _causes(failure: Exception) -> Iterator[BaseException]:
    cause: BaseException | None = failure
    while cause is not None:
        yield cause
        # Ray wraps what a worker raises, and why it can no longer ask one, each in its own way.
        wrapped = getattr(cause, "_base_exc", None) or getattr(cause, "health_check_failure", None)
        cause = wrapped or cause.__cause__
