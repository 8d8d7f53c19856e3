"""A thread that shows, again and again, what is going on elsewhere."""

import threading
from collections.abc import Callable

__all__ = ["Follower"]


class Follower:
    """Calls a function at a steady pace from `start` to `stop`."""

    def __init__(self, show: Callable[[], None], *, every_s: float) -> None:
        """Take over the function.

        Args:
            show: Is called by the thread, and by the caller of `stop`; never by both at once.
            every_s: Seconds between two calls.
        """
        self._show = show
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to call the function, from another thread."""
        self._thread.start()

    def stop(self) -> None:
        """Wait until no call is under way, and call the function for the last time."""
        self._ended.set()
        self._thread.join()
        self._show()

    def _follow(self) -> None:
        while not self._ended.wait(self._every_s):
            self._show()
