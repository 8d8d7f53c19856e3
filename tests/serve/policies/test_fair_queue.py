"""Tests of `serve.policies.fair_queue`."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.policies.fair_queue import FairQueue

COSTS = st.integers(min_value=1, max_value=50)


def popped(queue: FairQueue[str], lane: str = "lane") -> str:
    found = queue.pop(lane)
    assert found is not None
    return found[0]


def test_one_client_is_served_in_order_of_its_due_times() -> None:
    queue: FairQueue[str] = FairQueue()
    for name, due in (("late", 9.0), ("soon", 1.0), ("late too", 9.0), ("middle", 5.0)):
        queue.push("lane", "a", name, cost=1, due=due)
    assert [popped(queue) for _ in range(4)] == ["soon", "middle", "late", "late too"]
    assert queue.pop("lane") is None


@given(st.lists(COSTS, min_size=40, max_size=40), st.lists(COSTS, min_size=40, max_size=40))
def test_two_clients_that_always_wait_get_the_same_work(ours: list[int], theirs: list[int]) -> None:
    """The bound of start-time fair queueing: two of the dearest items."""
    queue: FairQueue[int] = FairQueue()
    for client, costs in (("ours", ours), ("theirs", theirs)):
        for cost in costs:
            item = cost if client == "ours" else -cost
            queue.push("lane", client, item, cost=cost, due=0)
    done = Counter[str]()
    left = {"ours": 40, "theirs": 40}
    while all(left.values()):
        found = queue.pop("lane")
        assert found is not None
        client = "ours" if found[0] > 0 else "theirs"
        done[client] += abs(found[0])
        left[client] -= 1
        assert abs(done["ours"] - done["theirs"]) <= max(ours) + max(theirs)


@given(st.integers(min_value=1, max_value=30), COSTS)
def test_an_endless_line_of_new_clients_starves_nobody(backlog: int, cost: int) -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(backlog):
        queue.push("lane", "regular", f"regular {number}", cost=cost, due=number)
    waits = []
    newcomers = 0
    for number in range(backlog):
        wait = 0
        while True:
            newcomers += 1
            queue.push("lane", f"new {newcomers}", "new", cost=cost, due=0)
            wait += 1
            if popped(queue) == f"regular {number}":
                break
            assert wait < 10 * backlog * (number + 2)
        waits.append(wait)


def test_absence_saves_up_no_share() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.push("lane", "busy", f"busy {number}", cost=1, due=number)
    for _ in range(50):
        popped(queue)
    for number in range(20):
        queue.push("lane", "back", f"back {number}", cost=1, due=number)
    first = Counter(popped(queue).split()[0] for _ in range(20))
    assert abs(first["busy"] - first["back"]) <= 2


def test_lanes_do_not_wait_for_each_other_and_share_the_accounts() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        queue.push("small", "a", f"a small {number}", cost=10, due=number)
    queue.push("large", "a", "a large", cost=10, due=0)
    queue.push("large", "b", "b large", cost=10, due=1)
    assert popped(queue, "small") == "a small 0"
    # Client a has been charged in the other lane.
    assert popped(queue, "large") == "b large"
    assert popped(queue, "large") == "a large"


def test_only_allowed_clients_have_a_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("lane", "a", "a", cost=1, due=0)
    assert queue.pop("lane", lambda client: client != "a") is None
    queue.push("lane", "b", "b", cost=1, due=0)
    assert queue.pop("lane", lambda client: client != "a") == ("b", 0.0)


def test_what_is_removed_is_not_charged_and_a_refund_is_no_saving() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("lane", "a", "gone", cost=1000, due=0)
    assert queue.remove("gone")
    assert queue.remove("gone") is False
    queue.push("lane", "a", "started", cost=1000, due=0)
    popped(queue)
    queue.refund("a", 1000)
    queue.refund("a", 1000)
    for number in range(5):
        queue.push("lane", "a", "a", cost=1, due=number)
        queue.push("lane", "b", "b", cost=1, due=number)
    first = Counter(popped(queue) for _ in range(6))
    assert first["a"] >= 2
    assert first["b"] >= 2


def test_accounts_of_idle_clients_are_forgotten() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(5000):
        queue.push("lane", f"client {number}", "item", cost=1, due=0)
        popped(queue)
    assert len(queue._starts) < 200


def test_its_length_is_how_many_wait() -> None:
    queue: FairQueue[str] = FairQueue()
    assert len(queue) == 0
    for number in range(3):
        queue.push(f"lane {number % 2}", f"client {number}", "item", cost=1, due=0)
        assert len(queue) == number + 1
    queue.pop("lane 0")
    assert len(queue) == 2


def test_of_clients_that_start_alike_the_one_whose_item_came_first_has_its_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("lane", "a", "patient", cost=1, due=9)
    queue.push("lane", "b", "zealous", cost=1, due=5)
    queue.push("lane", "a", "anxious", cost=1, due=1)
    assert [popped(queue) for _ in range(3)] == ["zealous", "anxious", "patient"]


def charged() -> FairQueue[str]:
    """A queue in which client a was charged 100 while nine others waited: v stands at 10."""
    queue: FairQueue[str] = FairQueue()
    queue.push("lane", "a", "first", cost=100, due=0)
    for number in range(9):
        queue.push("other", f"idle {number}", "item", cost=1, due=0)
    assert queue.pop("lane") == ("first", 0.0)
    return queue


def test_who_comes_starts_where_fluid_shares_would_stand() -> None:
    queue = charged()
    queue.push("lane", "new", "new", cost=1, due=0)
    assert queue.pop("lane") == ("new", 100 / 10)
    queue.push("lane", "a", "second", cost=1, due=0)
    assert queue.pop("lane") == ("second", 100.0)


def test_a_refund_is_what_was_not_had_and_never_more() -> None:
    for back, start in ((30, 70.0), (100, 10.0), (1000, 10.0)):
        queue = charged()
        queue.refund("a", back)
        queue.refund("stranger", 0.5)
        for client in ("a", "stranger"):
            queue.push(client, client, client, cost=1, due=0)
        assert queue.pop("a") == ("a", start)
        found = queue.pop("stranger")
        assert found is not None
        assert found[1] == pytest.approx(10.0, abs=1.0)
    queue = FairQueue()
    queue.refund("stranger", 0.5)
    queue.push("lane", "stranger", "stranger", cost=1, due=0)
    assert queue.pop("lane") == ("stranger", 0.0)


def test_after_a_reset_everyone_starts_alike() -> None:
    queue = charged()
    while queue.pop("other") is not None:
        pass
    queue.reset()
    for client in ("a", "b"):
        queue.push("lane", client, client, cost=1, due=0)
    assert queue.pop("lane") == ("a", 0.0)


def test_forgetting_idle_clients_forgives_nothing() -> None:
    queue = charged()
    for number in range(500):
        queue.push("lane", f"client {number}", "item", cost=1e-3, due=0)
        popped(queue)
    assert "client 0" not in queue._starts
    queue.push("lane", "a", "second", cost=1, due=0)
    assert queue.pop("lane") == ("second", 100.0)
