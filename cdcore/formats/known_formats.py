"""All formats: by name to write, by content to read."""

from cdcore.concepts.foreign_kinds import foreign_kind
from cdcore.errors import ConceptFileError
from cdcore.formats.adobe import ADOBE, ADOBE_COMPRESSED
from cdcore.formats.compvis import COMPVIS, COMPVIS_COMPRESSED
from cdcore.formats.custom_diffusion import CUSTOM_DIFFUSION
from cdcore.formats.embedding import EMBEDDING
from cdcore.formats.format import Format
from cdcore.formats.lora import DIFFUSERS_LORA, KOHYA, PEFT_LORA
from cdcore.formats.lycoris import LYCORIS
from cdcore.formats.tensors.container import Content

__all__ = ["FORMATS", "recognise"]

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        ADOBE,
        ADOBE_COMPRESSED,
        COMPVIS,
        COMPVIS_COMPRESSED,
        CUSTOM_DIFFUSION,
        LYCORIS,
        KOHYA,
        DIFFUSERS_LORA,
        PEFT_LORA,
        EMBEDDING,
    )
}
"""All formats by name. Compressed files are read by the format that they are a variant of."""


def recognise(content: Content) -> Format:
    """Return the format that reads a content.

    Raises:
        ConceptFileError: There is none.
    """
    for format_ in FORMATS.values():
        if format_.recognises is not None and format_.recognises(content):
            return format_
    key = next(iter(content.tree), "nothing")
    kind = foreign_kind(content.tree)
    if kind is not None:
        raise ConceptFileError(f"{content.path}: {kind}")
    readable = ", ".join(f.name for f in FORMATS.values() if f.read is not None)
    raise ConceptFileError(
        f"{content.path}: holds {key[:80]!r}, which is of no known format; expected a concept "
        f"file, or one of {readable}"
    )
