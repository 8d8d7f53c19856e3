"""Which concepts a request means: those it names, or those whose tokens its prompt names."""

from collections import Counter
from collections.abc import Sequence

from cdcore.errors import BaseMismatchError, ConfigError, TokenError
from cdcore.model.modifier_tokens import modifier_tokens
from serve.api.schemas import ConceptChoice, ImageRequest
from serve.catalogue.caller import Caller
from serve.catalogue.catalogue import Catalogue
from serve.catalogue.listed_concept import ListedConcept
from serve.concepts.mix import ConceptMix
from serve.engine.request import MAX_CONCEPTS
from serve.gateway.facts import ServiceFacts

__all__ = ["choose", "mix_of"]

_VERSION_MARK = "@"


def choose(
    request: ImageRequest, facts: ServiceFacts, catalogue: Catalogue, caller: Caller
) -> tuple[ConceptMix, list[ListedConcept]]:
    """Return what a request is to be drawn with, and its concepts in the versions chosen.

    It reads the store for versions that are not current.

    Args:
        request: Names concepts in ``concepts``; or in ``model``, as "mycat", "mycat@2" or
            "mycat+mychair"; or in its prompts, by their tokens.
        facts: What the HTTP side knows of the base.
        catalogue: Holds all concepts.
        caller: Who asks.

    Raises:
        UnknownConceptError: There is no such concept or version.
        TokenError: A token is no concept's, or that of several.
        BaseMismatchError: A concept is of another base.
        ConfigError: Concepts cannot be used together.
        OSError: The store cannot be read.
    """
    is_base = request.model in (None, "", facts.base_name)
    if request.concepts is not None and not is_base:
        raise ConfigError(
            f"model is {(request.model or '')[:100]!r} and concepts are given too; name the "
            "concepts in one of them"
        )
    if request.concepts is not None:
        choices = [
            ConceptChoice(name=given) if isinstance(given, str) else given
            for given in request.concepts
        ]
    elif not is_base:
        choices = _named_in_model(request.model or "")
    else:
        texts = f"{request.prompt}\n{request.negative_prompt}"
        choices = [
            ConceptChoice(name=name) for name in _named_in_prompt(texts, facts, catalogue, caller)
        ]
    mix, listed = _mixed(choices, request.merge, facts, catalogue, caller)
    _check_tokens(listed)
    return mix, listed


def mix_of(
    choices: Sequence[ConceptChoice],
    method: str,
    facts: ServiceFacts,
    catalogue: Catalogue,
    caller: Caller,
) -> ConceptMix:
    """Return chosen concepts as the engine takes them; errors as for `choose`.

    Their tokens may collide: a kept merge renames them.
    """
    mix, _ = _mixed(choices, method, facts, catalogue, caller)
    return mix


def _mixed(
    choices: Sequence[ConceptChoice],
    method: str,
    facts: ServiceFacts,
    catalogue: Catalogue,
    caller: Caller,
) -> tuple[ConceptMix, list[ListedConcept]]:
    """Return chosen concepts as the engine takes them, and as they are in the versions chosen."""
    if len(choices) > MAX_CONCEPTS:
        raise ConfigError(f"{len(choices)} concepts are asked for, at most {MAX_CONCEPTS} at once")
    parts = [
        (catalogue.reference(choice.name, choice.version, caller), choice.weight)
        for choice in choices
    ]
    # An earlier version is read from the store, so once.
    listed = [catalogue.at(reference, caller) for reference, _ in parts]
    for concept in listed:
        _check_base(concept, facts)
    return ConceptMix.of(*parts, method=method), listed


def _named_in_model(model: str) -> list[ConceptChoice]:
    choices = []
    for part in model.split("+"):
        name, _, version = part.strip().partition(_VERSION_MARK)
        if not 1 <= len(name) <= 100 or len(version) > 40:
            raise ConfigError(
                f"model is {model[:100]!r}, expected the base, a concept, or concepts joined by +"
            )
        choices.append(ConceptChoice(name=name, version=version or None))
    return choices


def _named_in_prompt(
    texts: str, facts: ServiceFacts, catalogue: Catalogue, caller: Caller
) -> list[str]:
    tokens = dict.fromkeys(modifier_tokens(texts))
    known = [
        concept
        for concept in catalogue.concepts(caller)
        if concept.base_fingerprint == facts.base_fingerprint
    ]
    return list(dict.fromkeys(_concept_of(token, known) for token in tokens))


def _concept_of(token: str, known: Sequence[ListedConcept]) -> str:
    found = [concept.name for concept in known if token in concept.tokens]
    if len(found) == 1:
        return found[0]
    # A merge has the tokens of its parents; the concept that a token is named after goes first.
    named = [name for name in found if f"<{name.lower()}>" == token]
    if len(named) == 1:
        return named[0]
    if not found:
        raise TokenError(f"the prompt names {token}, which no concept of this base teaches")
    raise TokenError(
        f"the prompt names {token}, which {', '.join(found[:10])} teach; say which one as model "
        "or in concepts"
    )


def _check_tokens(listed: Sequence[ListedConcept]) -> None:
    counts = Counter(token for concept in listed for token in concept.tokens)
    for token, count in counts.items():
        if count > 1:
            names = " and ".join(concept.name for concept in listed if token in concept.tokens)
            raise ConfigError(
                f"{names} are both named {token} in prompts; keep their merge under a name with "
                "POST /v1/concepts/merge, which gives each a token of its own, and draw with that"
            )


def _check_base(concept: ListedConcept, facts: ServiceFacts) -> None:
    if concept.base_fingerprint != facts.base_fingerprint:
        raise BaseMismatchError(
            f"concept {concept.name!r} was trained on another base "
            f"({concept.base_fingerprint[:12]}) than this service has ({facts.base_name}, "
            f"{facts.base_fingerprint[:12]})"
        )
