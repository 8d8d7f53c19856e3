"""An end for a block that hears no signal: Python's handlers wait until C++ returns."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ended_in_time"]

_GRACE_S = 1.0
_INTERRUPTED = 130
_BAD_INPUT = 2


@contextmanager
def ended_in_time(patience_s: float, message: str) -> Iterator[None]:
    """End this process with one line where the block neither ends nor hears a signal.

    Nothing is cleaned up then, as after a kill. The statuses are those of `run_command`. Only the
    main thread's block is watched; others cannot be interrupted.

    Args:
        patience_s: Seconds that the block may take.
        message: What is said on standard error where it takes longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals, told = socket.socketpair()
    # Of its own, because the block may silence what Ray's C++ part says there.
    errors = os.dup(2)
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    has_ended = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(signals, errors, has_ended, patience_s, message), daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        has_ended.set()
        told.close()
        watch.join()
        signals.close()
        os.close(errors)


def _watch(
    signals: socket.socket,
    errors: int,
    has_ended: threading.Event,
    patience_s: float,
    message: str,
) -> None:
    status, line = _INTERRUPTED, "interrupted"
    signals.settimeout(patience_s)
    try:
        while number := signals.recv(1):
            if number[0] in {signal.SIGINT, signal.SIGTERM}:
                break
    except TimeoutError:
        status, line = _BAD_INPUT, f"error: {message}"
    # Where Python hears the signal, the block ends by itself.
    if not has_ended.wait(_GRACE_S):
        # A progress bar hides the cursor of its terminal, and cannot end any more.
        cursor = "\x1b[?25h" if os.isatty(errors) else ""
        os.write(errors, f"{cursor}{line}\n".encode())
        os._exit(status)
