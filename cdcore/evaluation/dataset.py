"""A set of concepts to evaluate on, in the layout of CustomConcept101.

A folder holds ``dataset.json``, a list of single concepts; ``dataset_multiconcept.json``, a list of
pairs; prompt files with a prompt on each line, ``{}`` for the concept of a single prompt and
``{0}`` and ``{1}`` for those of a pair; and a folder of pictures for each concept. A path is
relative to the folder, unless it begins with ``~`` or a variable. Of real pictures of a class,
``class_data_dir`` may hold ``images/`` and their captions in ``caption.txt``, in the order of the
files' names.

The published files have two slips, which are read as what was meant: a prompt of a pair that names
the first concept twice and the second never, and a pair that gives a folder another class noun than
the list of single concepts does: that is a concept of its own.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdcore.errors import ConfigError
from cdcore.evaluation.methods import Section
from cdcore.user_paths import expanded

__all__ = ["ConceptSet", "SetConcept", "SetEntry", "read_concept_set"]


SINGLE_FILE, PAIR_FILE = "dataset.json", "dataset_multiconcept.json"
_TOKEN = re.compile(r"<[^<>\s]+>\s+(?P<noun>.+)")
_PLACES = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SetConcept:
    """A concept of a set.

    Attributes:
        name: Unique in the set: that of its folder, of letters, digits, "-" and "_".
        class_noun: What its instance prompt calls it.
        images: Folder of its pictures.
        class_folder: The folder of real pictures of the class, which may not be there.
    """

    name: str
    class_noun: str
    images: Path
    class_folder: Path

    @property
    def token(self) -> str:
        """Its modifier token when it is trained for an evaluation, such as ``<pet_cat1>``."""
        return f"<{self.name.lower()}>"

    @property
    def real_pictures(self) -> Path | None:
        """Folder of the real pictures of the class, if there is one."""
        folders = (self.class_folder / "images", self.class_folder)
        return next((folder for folder in folders if folder.is_dir()), None)

    def real_captions(self) -> tuple[str, ...]:
        """Return the captions of the real pictures, empty where there are none.

        Raises:
            ConfigError: The file cannot be read.
        """
        files = [self.class_folder / name for name in ("caption.txt", "captions.txt")]
        file = next((file for file in files if file.is_file()), None)
        return () if file is None else tuple(_lines(file))


@dataclass(frozen=True, kw_only=True, slots=True)
class SetEntry:
    """One concept, or two that are shown together, and the prompts that name them.

    Attributes:
        concepts: One or two.
        prompts: With "{0}" for the first concept and "{1}" for the second.
    """

    concepts: tuple[SetConcept, ...]
    prompts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Those of its concepts, with "+" between them."""
        return "+".join(concept.name for concept in self.concepts)

    @property
    def section(self) -> Section:
        """Whether it is a single concept or a pair."""
        return "single" if len(self.concepts) == 1 else "pair"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptSet:
    """What a folder holds.

    Attributes:
        singles: Single concepts.
        pairs: Pairs of concepts; none where the folder has no list of pairs.
        notes: What was read otherwise than it stands there.
    """

    singles: tuple[SetEntry, ...]
    pairs: tuple[SetEntry, ...]
    notes: tuple[str, ...]


def read_concept_set(folder: Path) -> ConceptSet:
    """Read a folder in the layout of CustomConcept101.

    Raises:
        ConfigError: A file is missing, is not as described, or names what is not there.
    """
    singles: list[SetEntry] = []
    known: dict[str, SetConcept] = {}
    for where, described in _entries(folder / SINGLE_FILE):
        concept = _concept(described, folder, where)
        file = _prompt_file(described, "prompt_filename", folder, where)
        if known.setdefault(concept.name, concept) != concept:
            raise ConfigError(f"{where}: a second concept in a folder named {concept.name!r}")
        singles.append(SetEntry(concepts=(concept,), prompts=_single_prompts(file)))
    pairs, notes = [], []
    if (folder / PAIR_FILE).is_file():
        for where, described in _entries(folder / PAIR_FILE):
            pair, remarks = _pair(described, folder, where, known)
            pairs.append(pair)
            notes += remarks
    return ConceptSet(singles=tuple(singles), pairs=tuple(pairs), notes=tuple(dict.fromkeys(notes)))


def _entries(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: cannot be read as a list of concepts ({reason})") from error
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file}: expected a list with one entry or more")
    return ((f"{file}, entry {number}", entry) for number, entry in enumerate(entries, start=1))


def _concept(described: Any, folder: Path, where: str) -> SetConcept:
    prompt, images = (
        _text(described, key, where) for key in ("instance_prompt", "instance_data_dir")
    )
    found = _TOKEN.search(prompt)
    if found is None:
        raise ConfigError(
            f"{where}: instance_prompt is {prompt!r}, expected one such as 'photo of a <new1> cat'"
        )
    path = folder / expanded(images)
    # A folder's name becomes a token and a file's name.
    name = re.sub(r"[^\w-]+", "-", path.name).strip("-_")
    if not path.is_dir() or not name:
        raise ConfigError(f"{where}: there is no folder of pictures {path}")
    class_folder = folder / expanded(str(described.get("class_data_dir", "regularization")))
    return SetConcept(
        name=name, class_noun=found["noun"].strip(), images=path, class_folder=class_folder
    )


def _pair(
    described: Any, folder: Path, where: str, known: dict[str, SetConcept]
) -> tuple[SetEntry, list[str]]:
    if not isinstance(described, list) or len(described) != 3:
        raise ConfigError(f"{where}: expected two concepts and a prompt_filename_compose")
    notes, concepts = [], []
    for part in described[:2]:
        concept = _concept(part, folder, where)
        listed = known.setdefault(concept.name, concept)
        if listed.class_noun != concept.class_noun:
            noun = re.sub(r"\W+", "-", concept.class_noun)
            notes.append(
                f"{concept.name} is a {listed.class_noun} in {SINGLE_FILE} and a "
                f"{concept.class_noun} in {PAIR_FILE}: taken as two concepts"
            )
            concept = SetConcept(
                name=f"{concept.name}-{noun}",
                class_noun=concept.class_noun,
                images=concept.images,
                class_folder=concept.class_folder,
            )
        concepts.append(concept)
    file = _prompt_file(described[2], "prompt_filename_compose", folder, where)
    prompts, remarks = _pair_prompts(file)
    first, second = concepts
    return SetEntry(concepts=(first, second), prompts=prompts), notes + remarks


def _single_prompts(file: Path) -> tuple[str, ...]:
    prompts = []
    for number, line in enumerate(_lines(file), start=1):
        if _PLACES.findall(line) not in (["{}"], ["{0}"]):
            raise ConfigError(f"{file}, prompt {number}: {line!r}, expected one '{{}}' in it")
        prompts.append(line.replace("{}", "{0}"))
    return tuple(prompts)


def _pair_prompts(file: Path) -> tuple[tuple[str, ...], list[str]]:
    prompts, notes = [], []
    for number, line in enumerate(_lines(file), start=1):
        places = _PLACES.findall(line)
        if not places or not set(places) <= {"{0}", "{1}"}:
            raise ConfigError(
                f"{file}, prompt {number}: {line!r}, expected '{{0}}' and '{{1}}' in it"
            )
        missing = {"{0}", "{1}"} - set(places)
        if missing and len(places) > 1:
            head, _, tail = line.rpartition(places[0])
            line = head + missing.pop() + tail
            notes.append(f"{file.name}, prompt {number} names one concept twice: read as {line!r}")
        elif missing:
            notes.append(f"{file.name}, prompt {number} names one concept only: {line!r}")
        prompts.append(line)
    return tuple(prompts), notes


def _prompt_file(described: Any, key: str, folder: Path, where: str) -> Path:
    named = Path(expanded(_text(described, key, where)))
    # Some copies of the set keep the prompt files beside the lists.
    places = (folder / named, folder / "prompts" / named.name, folder / named.name)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise ConfigError(f"{where}: there is no file of prompts {folder / named}")
    return found


def _text(described: Any, key: str, where: str) -> str:
    value = described.get(key) if isinstance(described, Mapping) else None
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: no text under {key!r}")
    return value


def _lines(file: Path) -> list[str]:
    """Return what stands on the lines, empty ones left out.

    Raises:
        ConfigError: The file cannot be read, or has nothing in it.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as text ({error})") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{file}: nothing in it; expected a text on each line")
    return lines
