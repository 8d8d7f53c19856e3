"""Bodies of requests and answers: OpenAI's, and what this service adds to them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdcore.merging.settings import DEFAULT_METHOD, MergeMethod
from cdcore.model.profiles import SamplerName

__all__ = [
    "ConceptAnswer",
    "ConceptChoice",
    "ConceptList",
    "DeletedAnswer",
    "ErrorAnswer",
    "ImageAnswer",
    "ImageData",
    "ImageRequest",
    "KeptMergeAnswer",
    "MergeRequest",
    "ModelAnswer",
    "ModelList",
    "Provenance",
    "RollbackRequest",
    "UsedConcept",
]

Name = Annotated[str, Field(min_length=1, max_length=100)]
Version = Annotated[str, Field(min_length=1, max_length=40)]
Weight = Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)]
OutputFormat = Literal["png", "jpeg", "webp"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        """Take null for a field that is not there, as OpenAI's service does."""
        if isinstance(given, dict):
            return {name: value for name, value in given.items() if value is not None}
        return given


class ConceptChoice(_Body):
    """A concept in a request."""

    name: Name
    weight: Weight = Field(default=1.0, description="factor on what was taught")
    version: Version | None = Field(
        default=None, description="or its number; unset, the current one"
    )


class ImageRequest(_Body):
    """What to draw."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"prompt": "a red cat on the beach", "n": 2},
                {"model": "mycat+mychair", "prompt": "a <mycat> cat on a <mychair> chair"},
                {
                    "prompt": "a <mycat> cat in the snow",
                    "concepts": [{"name": "mycat", "weight": 0.8}],
                    "num_inference_steps": 20,
                    "guidance_scale": 4.0,
                    "seed": 7,
                    "deterministic": True,
                },
            ]
        },
    )

    prompt: str = Field(min_length=1, description="may name modifier tokens, such as <mycat>")
    model: str | None = Field(
        default=None, max_length=500, description='the base, a concept, or "mycat+mychair" to merge'
    )
    n: int = Field(default=1, ge=1, le=10)
    size: str = Field(default="auto", max_length=20, description="auto is the base's own size")
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: OutputFormat = "png"
    output_compression: int = Field(
        default=100, ge=0, le=100, description="quality of jpeg and webp"
    )
    stream: bool = False
    partial_images: int = Field(
        default=0, ge=0, le=3, description="pictures on the way, when streaming"
    )
    user: str | None = Field(default=None, max_length=200)
    quality: str | None = Field(default=None, max_length=40, description="accepted, without effect")
    style: str | None = Field(default=None, max_length=40, description="accepted, without effect")
    background: Literal["auto", "opaque"] = Field(default="auto", description="always opaque")
    moderation: str | None = Field(
        default=None, max_length=40, description="accepted, without effect"
    )
    concepts: list[Name | ConceptChoice] | None = Field(
        default=None,
        max_length=8,
        description="what to merge; unset, the concepts whose tokens the prompt names",
    )
    merge: MergeMethod = DEFAULT_METHOD
    negative_prompt: str = ""
    num_inference_steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=1, le=50, description="1 is off")
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**64,
        description="of the first picture; the others follow it by one",
    )
    sampler: SamplerName | None = None
    deterministic: bool = Field(
        default=False,
        description="let no bit depend on other requests; slower when little else is drawn",
    )
    deadline_s: float | None = Field(
        default=None, gt=0, le=86400, description="give up after so long"
    )


class UsedConcept(BaseModel):
    """A concept that a picture was made with."""

    name: str
    version: str
    weight: float
    unread: bool = Field(
        default=False,
        description="whether the prompt names it only in the part that the base does not read",
    )


class Provenance(BaseModel):
    """How pictures were made; with ``seed`` it is also inside each picture."""

    request_id: str
    base: str
    base_fingerprint: str
    concepts: list[UsedConcept]
    merge: str | None = Field(description="how several concepts became one")
    residuals: dict[str, float | None] = Field(description="errors of the merge, 0 is perfect")
    steps: int
    guidance_scale: float
    sampler: str
    negative_prompt: str
    deterministic: bool
    unread: dict[str, str] = Field(
        default={}, description="the end of prompt and negative_prompt, where it is cut off"
    )


class ImageData(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = None
    seed: int


class ImageAnswer(BaseModel):
    """OpenAI's answer, with ``provenance`` and ``warnings``."""

    created: int
    data: list[ImageData]
    background: str = "opaque"
    output_format: OutputFormat
    size: str
    provenance: Provenance
    warnings: list[str] = Field(
        default=[], description="what of the prompts does not do what its writer may think"
    )


class ModelAnswer(BaseModel):
    """A base or a concept, as OpenAI lists models."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All that a request's ``model`` may be; joined by + concepts are merged."""

    object: Literal["list"] = "list"
    data: list[ModelAnswer]


class ConceptAnswer(BaseModel):
    """A concept."""

    id: str
    object: Literal["concept"] = "concept"
    version: str
    versions: list[str] | None = Field(
        default=None, description="all of them; only of a single concept"
    )
    phrases: list[str] = Field(description="how prompts name what it teaches")
    tokens: list[str]
    base: str
    base_fingerprint: str
    is_servable: bool = Field(description="whether it is of this service's base")
    owner: str | None = Field(description="null is everybody's")
    size_bytes: int
    created_at: str
    published_at: str
    metrics: dict[str, Any]
    parents: list[dict[str, Any]] = Field(description="of a merge: name and weight")
    thumbnail: str = Field(description="path of a picture of it")
    file: str = Field(description="path of its file; ?format= converts it")
    formats: list[str] | None = Field(default=None, description="what ?format= takes")


class ConceptList(BaseModel):
    """Concepts by name."""

    object: Literal["list"] = "list"
    data: list[ConceptAnswer]


class DeletedAnswer(BaseModel):
    """What was deleted."""

    id: str
    object: Literal["concept"] = "concept"
    version: str | None = None
    deleted: bool = True


class RollbackRequest(_Body):
    """Which version becomes current."""

    version: Version | None = Field(default=None, description="unset, the one before")


class MergeRequest(_Body):
    """What to merge and keep."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "cat_and_chair", "concepts": ["mycat", {"name": "mychair", "weight": 0.8}]}
            ]
        },
    )

    name: Name = Field(description="of the result: letters, digits, - and _")
    concepts: list[Name | ConceptChoice] = Field(min_length=2, max_length=8)
    method: MergeMethod = DEFAULT_METHOD


class KeptMergeAnswer(BaseModel):
    """A kept merge."""

    concept: ConceptAnswer
    report: dict[str, Any] = Field(description="residuals, drift, renamed tokens and notes")


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """An error in OpenAI's form."""

    error: ErrorDetail
