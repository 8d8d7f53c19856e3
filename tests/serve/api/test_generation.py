"""Tests of `serve.api.generation`."""

import pytest

from cdcore.errors import ConfigError
from cdcore.model.unread_text import UnreadText
from cdcore.registry.registry import Registry
from serve.api.generation import Generation, generation_of
from serve.api.schemas import ImageRequest
from serve.api.service import Service
from serve.catalogue.caller import ANYONE
from serve.gateway.host import EngineHost
from serve.settings import ServiceSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def service(host: EngineHost, shared_registry: Registry) -> Service:
    made = Service(ServiceSettings(prompt_chars=100), host, shared_registry)
    made.catalogue.refresh()
    return made


async def asked(service: Service, **body: object) -> Generation:
    request = ImageRequest.model_validate({"prompt": "a <mycat> cat", **body})
    return await generation_of(request, await service.facts(), service, ANYONE)


async def test_what_a_body_leaves_open_is_as_the_base_has_it(service: Service) -> None:
    facts = await service.facts()
    made = await asked(service, n=3, seed=2**64 - 1)
    assert made.wanted.seeds == (2**64 - 1, 0, 1)
    assert (made.wanted.steps, made.size) == (facts.steps, facts.sizes[0])
    assert made.names == {"mycat": ("<mycat>",)}
    assert made.warnings == []
    assert made.settings(7)["seed"] == 7


async def test_what_is_unread_is_told_of_the_concepts_that_it_hides(service: Service) -> None:
    made = await asked(service, prompt="a <mycat> cat by a <mychair> chair")
    unread = UnreadText(read="a <mycat> cat", text=" by a <mychair> chair", length=7, room=3)
    made.note_unread({"prompt": unread})
    told = {used.name: used.unread for used in made.provenance.concepts}
    assert told == {"mycat": False, "mychair": True}
    assert made.provenance.unread == {"prompt": unread.text}
    assert made.warnings == [unread.note]
    made = await asked(service)
    made.note_unread({"negative_prompt": unread})
    assert [used.unread for used in made.provenance.concepts] == [False]
    assert made.warnings == [unread.note]


async def test_a_prompt_of_too_many_characters_and_a_size_that_is_not_served_are_refused(
    service: Service,
) -> None:
    with pytest.raises(ConfigError, match="has 101 characters, at most 100"):
        await asked(service, negative_prompt="x" * 101)
    with pytest.raises(ConfigError, match="draws auto, 64x64"):
        await asked(service, size="1x1")
