"""Listed concepts as the API describes them."""

from collections.abc import Sequence
from datetime import datetime

from serve.api.schemas import ConceptAnswer, ModelAnswer
from serve.catalogue.listed_concept import ListedConcept
from serve.gateway.exporting import EXPORTS
from serve.gateway.facts import ServiceFacts
from serve.payloads.json_safe import json_safe, text_safe

__all__ = ["base_model", "concept_answer", "concept_model"]


def concept_answer(
    listed: ListedConcept, facts: ServiceFacts, versions: Sequence[str] | None = None
) -> ConceptAnswer:
    """Describe a concept; with its versions where one concept alone is asked for."""
    path = f"/v1/concepts/{listed.name}"
    return ConceptAnswer(
        id=listed.name,
        version=listed.version,
        versions=None if versions is None else list(versions),
        phrases=[text_safe(phrase) for phrase in listed.phrases],
        tokens=list(listed.tokens),
        base=text_safe(listed.base_name.rpartition("/")[2]),
        base_fingerprint=listed.base_fingerprint,
        is_servable=listed.base_fingerprint == facts.base_fingerprint,
        owner=None if listed.owner is None else text_safe(listed.owner),
        size_bytes=listed.entry.size_bytes,
        created_at=text_safe(listed.created_at),
        published_at=text_safe(listed.entry.published_at),
        metrics=json_safe(listed.metrics),
        parents=json_safe(listed.parents),
        thumbnail=f"{path}/thumbnail",
        file=f"{path}/file",
        formats=None if versions is None else list(EXPORTS),
    )


def concept_model(listed: ListedConcept) -> ModelAnswer:
    """Describe a concept as OpenAI lists models."""
    try:
        created = int(datetime.fromisoformat(listed.entry.published_at).timestamp())
    except (ValueError, OverflowError):
        created = 0
    return ModelAnswer(
        id=listed.name, created=created, owned_by=text_safe(listed.owner or "everybody")
    )


def base_model(facts: ServiceFacts) -> ModelAnswer:
    """Describe the base as OpenAI lists models."""
    return ModelAnswer(id=facts.base_name, created=0, owned_by="everybody")
