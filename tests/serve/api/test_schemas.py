"""Tests of `serve.api.schemas`."""

from typing import Any

import pytest
from pydantic import ValidationError

from serve.api.schemas import ConceptChoice, ImageRequest, MergeRequest


@pytest.mark.parametrize("kind", [ImageRequest, MergeRequest])
def test_the_examples_of_the_reference_are_requests(
    kind: type[ImageRequest] | type[MergeRequest],
) -> None:
    examples: Any = kind.model_config["json_schema_extra"]
    for example in examples["examples"]:
        assert kind.model_validate(example)


def test_null_is_as_good_as_nothing() -> None:
    nulls = {name: None for name in ImageRequest.model_fields if name != "prompt"}
    assert ImageRequest.model_validate({"prompt": "x", **nulls}) == ImageRequest(prompt="x")
    with pytest.raises(ValidationError):
        ImageRequest.model_validate({"prompt": None})


def test_concepts_are_names_or_choices() -> None:
    body = {"prompt": "x", "concepts": ["a", {"name": "b", "weight": -1, "version": "2"}]}
    assert ImageRequest.model_validate(body).concepts == [
        "a",
        ConceptChoice(name="b", weight=-1, version="2"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 0}, {"n": 11}, {"seed": -1}, {"seed": 2**64}, {"guidance_scale": 0.5},
        {"guidance_scale": float("nan")}, {"partial_images": 4}, {"size": "x" * 30},
        {"concepts": ["a"] * 9}, {"concepts": [{"name": "a", "weight": float("inf")}]},
        {"background": "transparent"}, {"prompt": "\ud800"}, {"unknown": 1},
    ],
)  # fmt: skip
def test_what_nobody_can_mean_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ImageRequest.model_validate({"prompt": "x", **wrong})
