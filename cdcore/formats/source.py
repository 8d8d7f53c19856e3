"""Reading a concept from any file that holds one: this project's own, or another tool's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cdcore.concepts.concept import Concept
from cdcore.concepts.header import METADATA_KEY
from cdcore.concepts.storage import load_concept
from cdcore.concepts.subject import Subject
from cdcore.errors import ConfigError
from cdcore.formats.file_names import file_stem, valid_tokens
from cdcore.formats.known_formats import recognise
from cdcore.formats.tensors.container import Content, open_content
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.formats.weights_folder import find_weights
from cdcore.model.families import family_of_width

__all__ = ["Source", "read_source"]

_KnownBase = KVBase | Callable[[], KVBase]
"""A base, or what loads it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A concept that was read.

    Attributes:
        title: What kind of file it was.
        concept: With no fingerprint of a base where the file has none.
        base: The base it is of, with weights where they were read.
        notes: What the user should know.
    """

    title: str
    concept: Concept
    base: KVBase
    notes: tuple[str, ...] = ()


def read_source(
    path: Path,
    *,
    base: _KnownBase | None = None,
    nouns: Sequence[str] = (),
    new_tokens: Sequence[str] = (),
    name: str | None = None,
    needs_weights: bool = False,
) -> Source:
    """Read a concept; the format is found out.

    Args:
        path: A file, or a folder that a training script has written.
        base: The base it is of, or what loads it, which is called when nothing else is wrong; None
            finds it out as far as that goes: the family by its shape, or the one that a concept
            file names.
        nouns: Class nouns, in the order of the tokens; only for other tools' files.
        new_tokens: What prompts are to call the tokens, in their order; none keeps the file's own.
        name: The name of the concept; None takes the file's own.
        needs_weights: Whether the base's weights will be wanted.

    Raises:
        ConceptFileError: The file cannot be read, or is of another base.
        BaseModelError: The base that a concept file names cannot be read.
        ConfigError: A noun or the base must be given, or is given where the file says it; or there
            are more or fewer new tokens than tokens.
    """
    found = find_weights(path) if path.is_dir() else None
    file = path if found is None else found.path
    content = open_content(file)
    if METADATA_KEY in content.metadata:
        if nouns:
            raise ConfigError(
                f"{file}: a concept file says itself what it teaches, and {', '.join(nouns)} is "
                "not asked for; leave out --class-noun"
            )
        source = _own(file, base, name, needs_weights)
        source = _with_tokens(source, file, new_tokens) if new_tokens else source
    else:
        source = _foreign(content, base, nouns, new_tokens, name)
    return source if found is None else replace(source, notes=(found.note, *source.notes))


def _loaded(base: _KnownBase | None) -> KVBase | None:
    return base() if callable(base) else base


def _own(path: Path, base: _KnownBase | None, name: str | None, needs_weights: bool) -> Source:
    concept = load_concept(path)
    base = _loaded(base)
    notes = []
    if base is None:
        family = family_of_width(concept.update.shape[1])
        is_known = family is not None and family.layout.shape == concept.update.shape
        if family is not None and is_known and not needs_weights:
            base = KVBase.of_family(family)
        else:
            base = KVBase.load(concept.base_name)
    elif base.stack is not None and base.name != concept.base_name:
        notes.append(f"the concept was trained on {concept.base_name}, and {base.name} is used")
    base.layout.check(concept.update)
    concept = concept.renamed(name or concept.name)
    return Source(title="a concept file", concept=concept, base=base, notes=tuple(notes))


def _with_tokens(source: Source, path: Path, names: Sequence[str]) -> Source:
    concept = source.concept
    called = _called(path, list(concept.tokens), names)
    subjects = tuple(
        replace(subject, token=None if subject.token is None else called[subject.token])
        for subject in concept.subjects
    )
    rows = {called[old]: row for old, row in concept.tokens.items()}
    concept = replace(concept, tokens=rows, subjects=subjects)
    return replace(source, concept=concept, notes=(*source.notes, *_notes(called)))


def _called(path: Path, tokens: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return what each token of a file is called by the names that the user has given in order.

    Raises:
        ConfigError: There are more or fewer names than tokens.
    """
    if len(names) != len(tokens):
        known = ", ".join(tokens) or "none"
        raise ConfigError(
            f"{path}: --modifier-token gives {len(names)} names for {len(tokens)} tokens "
            f"({known}); give one name for each, in this order"
        )
    return dict(zip(tokens, names, strict=True))


def _notes(called: Mapping[str, str]) -> list[str]:
    return [f"token {old!r} is called {new} here" for old, new in called.items() if old != new]


def _foreign(
    content: Content,
    base: _KnownBase | None,
    nouns: Sequence[str],
    new_tokens: Sequence[str],
    name: str | None,
) -> Source:
    format_ = recognise(content)
    assert format_.read is not None
    named = None if format_.tokens is None else format_.tokens(content)
    if named is not None:
        # Loading a base takes many times as long as to see that a noun is missing.
        _names(content.path, named, nouns, new_tokens)
    base = _loaded(base) or _family_base(content)
    read = format_.read(content, base)
    tokens, subjects = _names(content.path, list(read.tokens), nouns, new_tokens)
    concept = Concept(
        name=name or file_stem(content.path.stem),
        update=read.update,
        tokens={tokens[old]: row for old, row in read.tokens.items()},
        subjects=subjects,
        base_name=base.name,
        base_fingerprint="",
        training={"converted_from": format_.name},
    )
    notes = (*read.notes, *_notes(tokens))
    return Source(title=format_.title, concept=concept, base=base, notes=notes)


def _names(
    path: Path, found: Sequence[str], nouns: Sequence[str], new_tokens: Sequence[str]
) -> tuple[dict[str, str], tuple[Subject, ...]]:
    """Return what the tokens of a file are called here, and what the file teaches.

    Raises:
        ConfigError: There are more or fewer nouns or names than tokens.
    """
    tokens = _called(path, found, new_tokens) if new_tokens else valid_tokens(found)
    return tokens, _subjects(path, list(tokens.values()), nouns)


def _subjects(path: Path, tokens: list[str], nouns: Sequence[str]) -> tuple[Subject, ...]:
    if tokens and len(nouns) != len(tokens):
        raise ConfigError(
            f"{path}: teaches {', '.join(tokens)} and does not say what kind of thing that is; "
            f"give --class-noun with {len(tokens)} nouns in this order, such as cat"
        )
    if not nouns:
        raise ConfigError(f"{path}: has no token; give the noun that is taught: --class-noun cat")
    return tuple(
        Subject(class_noun=noun.strip(), token=tokens[number] if tokens else None)
        for number, noun in enumerate(nouns)
    )


def _family_base(content: Content) -> KVBase:
    width = _text_width(content.tree)
    family = None if width is None else family_of_width(width)
    if family is None:
        raise ConfigError(
            f"{content.path}: is of no base that is known by its shape; give --base FOLDER"
        )
    return KVBase.of_family(family)


def _text_width(node: Any, name: str = "") -> int | None:
    """Return the columns of the first key or value matrix in a tree of tensors."""
    if isinstance(node, Tensor):
        return node.shape[1] if node.ndim == 2 and ".attn2." in name else None
    if not isinstance(node, Mapping):
        return None
    if "v" in node and ".attn2." in name:
        return _text_width(node["v"], name)
    found = (_text_width(value, key if ".attn2." in key else name) for key, value in node.items())
    return next((width for width in found if width is not None), None)
