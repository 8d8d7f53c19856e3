"""Tests of `serve.engine.work`."""

import pytest
import torch

from cdcore.errors import DeadlineError, ServingError
from serve.engine.request import Done, Failed, Picture, Preview
from serve.engine.work import Ticket

DONE = Done(residuals={"a": 1.0}, found_free_row=True, turns_waited=0, waited_s=0.0)


def ticket() -> Ticket:
    return Ticket(cancel=lambda key: None)


def picture(number: int) -> Picture:
    return Picture(number=number, seed=number, pixels=torch.full((3, 1, 1), float(number)))


def test_pictures_come_out_in_the_order_of_the_seeds() -> None:
    ours = ticket()
    for event in (
        picture(1),
        Preview(number=0, step=1, pixels=torch.zeros(3, 1, 1)),
        picture(0),
        DONE,
    ):
        ours.inbox.put(event)
    result = ours.result(0.0)
    assert [picture.mean() for picture in result.pictures] == [0, 1]
    assert len(result.previews) == 1
    assert result.done is DONE


def test_a_failure_is_raised_and_ends_the_events() -> None:
    ours = ticket()
    for event in (picture(0), Failed(DeadlineError("too late"))):
        ours.inbox.put(event)
    with pytest.raises(DeadlineError, match="too late"):
        ours.result(0.0)


def test_waiting_has_an_end() -> None:
    with pytest.raises(ServingError, match="nothing came within"):
        ticket().result(0.01)


def test_cancelling_names_the_request() -> None:
    cancelled: list[str] = []
    ours = Ticket(cancel=cancelled.append)
    ours.key = "abc"
    ours.cancel()
    assert cancelled == ["abc"]
