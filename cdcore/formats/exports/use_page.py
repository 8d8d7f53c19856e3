"""USE.md: where the files of an export go, and the exact prompt."""

from collections.abc import Sequence

from cdcore.concepts.concept import Concept
from cdcore.errors import one_line
from cdcore.formats.embedding import embedding_stems
from cdcore.formats.exports.folder import listed
from cdcore.formats.exports.tools import ToolFolders
from cdcore.formats.file_names import file_stem
from cdcore.formats.tensors.kv_base import KVBase

__all__ = ["use_page"]

_PROMPT_END = "on the beach"


def use_page(
    concept: Concept, base: KVBase, places: ToolFolders, files: Sequence[str], error: float
) -> str:
    """Word the page of one export.

    Args:
        concept: What was exported.
        base: Its base.
        places: The folders in which the tool looks for files.
        files: Names of what was written, relative to the folder.
        error: ``||Delta - Delta_r|| / ||Delta||`` of the update; 0 where it is exact.
    """
    stems = embedding_stems(concept)
    phrases = [
        subject.class_noun
        if subject.token is None
        else f"{places.word(subject.token, stems[subject.token])} {subject.class_noun}"
        for subject in concept.subjects
    ]
    prefix = places.prefix(file_stem(concept.name))
    prompts = [f"    {prefix}{phrase} {_PROMPT_END}" for phrase in phrases]
    quality = (
        "The update is exact."
        if error == 0
        else f"The update is of low rank and differs from the concept by {error:.1%} of its length."
    )
    return "\n".join(
        [
            f"# {one_line(concept.name)} for {places.title}",
            "",
            f"For bases like {one_line(concept.base_name)}. {quality}",
            "",
            "Files:",
            "",
            *map(listed, files),
            "",
            places.usage(concept, base),
            "",
            "Prompt:" if len(prompts) == 1 else "Prompts, one for each subject:",
            "",
            *prompts,
            "",
        ]
    )
