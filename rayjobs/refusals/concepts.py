"""Refusals of concept files, of their base and of prompts that need no torch."""

from collections.abc import Sequence
from pathlib import Path

from cdcore.concepts.header import ConceptHeader, read_header
from cdcore.concepts.subject import distinct_subjects
from cdcore.errors import BaseMismatchError
from cdcore.model.base_files import BaseFiles, local_base
from cdcore.model.modifier_tokens import check_prompt
from rayjobs.runs.working_copy import explained

__all__ = ["check_one_base", "check_prompts", "headers_of", "shaped_base"]


def headers_of(files: Sequence[Path]) -> list[ConceptHeader]:
    """Return what each concept file says of itself.

    Raises:
        ConceptFileError: A file is missing, foreign, damaged or of a newer version.
    """
    headers = []
    for file in files:
        with explained(file):
            headers.append(read_header(file))
    return headers


def check_one_base(headers: Sequence[ConceptHeader]) -> None:
    """Refuse concepts of several bases.

    Raises:
        BaseMismatchError: Names two.
    """
    first = headers[0]
    for header in headers[1:]:
        if (header.base_fingerprint, header.shape) != (first.base_fingerprint, first.shape):
            raise BaseMismatchError(
                f"concept {header.name!r} was trained on base {header.base_name!r} "
                f"({header.base_fingerprint[:12]}, K/V stack {header.shape}), {first.name!r} on "
                f"{first.base_name!r} ({first.base_fingerprint[:12]}, {first.shape}); merge "
                "concepts of one base only, or train it again"
            )


def shaped_base(name: str, headers: Sequence[ConceptHeader]) -> BaseFiles:
    """Return what is known of a base that the concepts are to be used on.

    Raises:
        BaseModelError: There is no such base.
        BaseMismatchError: A concept is of another shape.
    """
    base = local_base(name)
    for header in headers:
        header.check_shape(base)
    return base


def check_prompts(prompts: Sequence[str], headers: Sequence[ConceptHeader]) -> None:
    """Refuse prompts that name a modifier token of no concept.

    Raises:
        TokenError: Names it.
    """
    groups, _ = distinct_subjects([header.subjects for header in headers])
    tokens = [subject.token for group in groups for subject in group if subject.token is not None]
    for prompt in prompts:
        check_prompt(prompt, tokens)
