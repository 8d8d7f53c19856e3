"""Tests of `serve.catalogue.caller`."""

import pytest

from serve.catalogue.caller import ANYONE, Caller

ALICE, ROOT = Caller(owner="alice"), Caller(owner="root", is_admin=True)


@pytest.mark.parametrize(
    ("caller", "owner", "sees", "changes"),
    [
        (ALICE, "alice", True, True),
        (ALICE, "boris", False, False),
        (ALICE, None, True, False),
        (ROOT, "alice", True, True),
        (ROOT, None, True, True),
        (ANYONE, "alice", True, True),
        (ANYONE, None, True, True),
        (Caller(owner=""), "", True, True),
        (Caller(owner=""), "alice", False, False),
    ],
)
def test_who_may_do_what(caller: Caller, owner: str | None, sees: bool, changes: bool) -> None:
    assert caller.may_see(owner) == sees
    assert caller.may_change(owner) == changes
