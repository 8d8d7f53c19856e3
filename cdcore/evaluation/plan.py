"""The plan of an evaluation: which cells there are. All methods share prompts and seeds.

The seed of picture k of prompt n is ``seed + n * pictures + k``, so that pictures of one prompt
differ, and methods differ by nothing but themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cdcore.errors import ConfigError
from cdcore.evaluation.cell import Cell
from cdcore.evaluation.dataset import ConceptSet, SetConcept, SetEntry
from cdcore.evaluation.methods import METHODS, Method, Section

__all__ = ["EvaluationPlan", "Selection", "select"]


_CAPTIONS_A_CELL = 20
_CAPTION_SEED_OFFSET = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What of a set is evaluated.

    Attributes:
        singles: Single concepts.
        pairs: Pairs of concepts.
    """

    singles: tuple[SetEntry, ...]
    pairs: tuple[SetEntry, ...]

    @property
    def concepts(self) -> tuple[SetConcept, ...]:
        """Every concept once, those of single entries first."""
        entries = (*self.singles, *self.pairs)
        found = {concept.name: concept for entry in entries for concept in entry.concepts}
        return tuple(found.values())


def select(
    whole: ConceptSet, *, sections: Sequence[Section], limit: int | None, prompts: int | None
) -> Selection:
    """Choose the first entries and prompts of a set.

    Args:
        whole: The set.
        sections: Which lists.
        limit: At most so many concepts, and half as many pairs; the concepts are then those of the
            pairs before others, so that few must be trained. None takes all.
        prompts: At most so many of each entry; None takes all.
    """
    pairs = whole.pairs if "pair" in sections else ()
    singles = whole.singles if "single" in sections else ()
    if limit is not None:
        pairs = pairs[: max(1, limit // 2)]
        wanted = {concept.name for entry in pairs for concept in entry.concepts}
        singles = tuple(sorted(singles, key=lambda entry: entry.name not in wanted))[:limit]
    return Selection(
        singles=tuple(
            SetEntry(concepts=entry.concepts, prompts=entry.prompts[:prompts]) for entry in singles
        ),
        pairs=tuple(
            SetEntry(concepts=entry.concepts, prompts=entry.prompts[:prompts]) for entry in pairs
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationPlan:
    """How much is sampled.

    Attributes:
        methods: Which of `METHODS`; "base" is added.
        pictures: Pictures of each prompt.
        drift_pictures: Those of each prompt in plain words, at most ``pictures``; 0 leaves drift
            out.
        kid_pictures: Pictures of real captions, for each concept; 0 leaves KID out.
        seed: The seed of the first picture.

    Raises:
        ConfigError: A number is impossible.
    """

    methods: tuple[Method, ...]
    pictures: int
    drift_pictures: int
    kid_pictures: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse what gives no figures."""
        if self.pictures < 1:
            raise ConfigError(f"pictures is {self.pictures}, expected 1 or more")
        if not 0 <= self.drift_pictures <= self.pictures:
            raise ConfigError(
                f"drift_pictures is {self.drift_pictures}, expected 0 to {self.pictures}, the "
                "pictures of a prompt"
            )
        if self.kid_pictures < 0 or self.kid_pictures == 1:
            raise ConfigError(
                f"kid_pictures is {self.kid_pictures}, expected 0 (none), or 2 or more"
            )

    def of_section(self, section: Section) -> tuple[Method, ...]:
        """Return the methods of a section, in their order."""
        chosen = {"base", *self.methods}
        return tuple(method for method in METHODS[section] if method in chosen)

    def cells(self, selection: Selection) -> tuple[Cell, ...]:
        """List the cells, those that share a concept beside each other."""
        return (
            *(cell for entry in selection.singles for cell in self._of_entry(entry)),
            *(cell for entry in selection.pairs for cell in self._of_entry(entry)),
        )

    def _of_entry(self, entry: SetEntry) -> Iterator[Cell]:
        nouns = tuple(concept.class_noun for concept in entry.concepts)
        captions: tuple[str, ...] = ()
        (concept, *others) = entry.concepts
        if self.kid_pictures and not others and concept.real_pictures is not None:
            captions = concept.real_captions() or (f"photo of a {concept.class_noun}",)
        for method in self.of_section(entry.section):
            for number, text in enumerate(entry.prompts):
                seeds = tuple(
                    range(
                        self.seed + number * self.pictures,
                        self.seed + (number + 1) * self.pictures,
                    )
                )
                cell = Cell(
                    section=entry.section,
                    entry=entry.name,
                    method=method,
                    part="prompts",
                    number=number,
                    nouns=nouns,
                    texts=(text,) * self.pictures,
                    seeds=seeds,
                )
                yield cell
                if method != "base" and self.drift_pictures:
                    yield _plain(cell, self.drift_pictures)
            if captions:
                yield from self._of_captions(entry, method, nouns, captions)

    def _of_captions(
        self,
        entry: SetEntry,
        method: Method,
        nouns: tuple[str, ...],
        captions: tuple[str, ...],
    ) -> Iterator[Cell]:
        first_seed = self.seed + _CAPTION_SEED_OFFSET
        for start in range(0, self.kid_pictures, _CAPTIONS_A_CELL):
            numbers = range(start, min(start + _CAPTIONS_A_CELL, self.kid_pictures))
            yield Cell(
                section=entry.section,
                entry=entry.name,
                method=method,
                part="captions",
                number=start // _CAPTIONS_A_CELL,
                nouns=nouns,
                texts=tuple(captions[number % len(captions)] for number in numbers),
                seeds=tuple(first_seed + number for number in numbers),
            )


def _plain(cell: Cell, count: int) -> Cell:
    return Cell(
        section=cell.section,
        entry=cell.entry,
        method=cell.method,
        part="plain",
        number=cell.number,
        nouns=cell.nouns,
        texts=cell.texts[:count],
        seeds=cell.seeds[:count],
    )
