"""Whose turn it is: equal shares of the device between clients, the most urgent job within each.

Start-time fair queueing (Goyal, Vin and Cheng 1996): a client's jobs lie one behind the other on
its own axis of work, each as long as it costs. The next job is the one that starts first. A client
that was idle starts at the virtual time ``v``, so nobody saves up shares by staying away:

    start = max(v, end of the client's job before)        end = start + cost

Here ``v`` also moves on by ``cost / clients that wait`` with each job, as in fluid fair sharing.
Without that, an endless line of new clients, all of whom start at ``v``, would hold it still and
starve a client that has been served before.

Within one client the earliest ``due`` goes first. A lane is a kind of job that cannot take the
place of another kind, such as a picture size; lanes share the clients' axes. Plain Python.
"""

import bisect
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

Item = TypeVar("Item")

_MIN_ACCOUNTS = 64
"""Clients to remember before those that may be forgotten are looked for."""

_Waiting = tuple[float, int, Item, float]
"""Due time, arrival number, item, cost."""


class FairQueue(Generic[Item]):
    """Items that wait, by lane and client."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, dict[str, list[_Waiting[Item]]]] = {}
        self._starts: dict[str, float] = {}
        self._waiting: Counter[str] = Counter()
        self._virtual_time = 0.0
        self._arrivals = 0
        self._max_accounts = _MIN_ACCOUNTS

    def __len__(self) -> int:
        """How many items wait."""
        return self._waiting.total()

    def push(self, lane: Hashable, client: str, item: Item, *, cost: float, due: float) -> None:
        """Let an item wait.

        Args:
            lane: The item's kind.
            client: Whose item it is.
            item: Any object; equal items are different ones.
            cost: What the item uses up of the client's share, above 0.
            due: The client's items go in this order, equal ones as they came.
        """
        if not self._waiting[client]:
            self._forget_idle_clients()
            self._starts[client] = max(self._virtual_time, self._starts.get(client, 0.0))
        self._waiting[client] += 1
        self._arrivals += 1
        items = self._lanes.setdefault(lane, {}).setdefault(client, [])
        bisect.insort(items, (due, self._arrivals, item, cost), key=lambda waiting: waiting[:2])

    def pop(
        self, lane: Hashable, allowed: Callable[[str], bool] = lambda client: True
    ) -> tuple[Item, float] | None:
        """Take the next item of a lane, and charge its client.

        Args:
            lane: The kind of item to take.
            allowed: Tells which clients may have a turn.

        Returns:
            The item and its start on the axis of work, or None when no allowed client waits.
        """
        clients = [client for client in self._lanes.get(lane, ()) if allowed(client)]
        if not clients:
            return None
        heads = {client: self._lanes[lane][client][0] for client in clients}
        client = min(clients, key=lambda client: (self._starts[client], heads[client][1]))
        _, _, item, cost = heads[client]
        start = self._starts[client]
        self._starts[client] = start + cost
        progress = cost / len(self._waiting)
        self._virtual_time = max(self._virtual_time + progress, start)
        self._drop(lane, client, 0)
        return item, start

    def remove(self, item: Item) -> bool:
        """Take an item out without a charge; whether it was there."""
        for lane, clients in self._lanes.items():
            for client, items in clients.items():
                for position, waiting in enumerate(items):
                    if waiting[2] is item:
                        self._drop(lane, client, position)
                        return True
        return False

    def refund(self, client: str, cost: float) -> None:
        """Give back what a client was charged for and did not get; no savings come of it."""
        start = self._starts.get(client, 0.0)
        if start > self._virtual_time:
            self._starts[client] = max(start - cost, self._virtual_time)

    def reset(self) -> None:
        """Begin anew, where nothing waits and nothing runs: an idle machine is nobody's share."""
        assert not len(self)
        self._starts.clear()
        self._virtual_time = 0.0

    def _drop(self, lane: Hashable, client: str, position: int) -> None:
        items = self._lanes[lane][client]
        del items[position]
        if not items:
            del self._lanes[lane][client]
        self._waiting[client] -= 1
        if not self._waiting[client]:
            del self._waiting[client]

    def _forget_idle_clients(self) -> None:
        """Forget clients whose next start would be ``v`` anyhow, once there are many accounts."""
        if len(self._starts) < self._max_accounts:
            return
        self._starts = {
            client: start
            for client, start in self._starts.items()
            if start > self._virtual_time or self._waiting[client]
        }
        self._max_accounts = max(_MIN_ACCOUNTS, 2 * len(self._starts))
