"""What is merged on the pocket world to see which method is best, and the prompts that show it."""

from dataclasses import dataclass

from cdcore.pocket.drawing.individuals import INDIVIDUALS
from cdcore.pocket.scenes.scene import KINDS

__all__ = ["CASES", "ORDINARY", "PLACES_SHOWN", "QualityCase"]

PLACES_SHOWN = ("on the grass", "in the snow", "in a room")
"""Where prompts put what they name."""
ORDINARY = ("a dog on the beach", "a red chair in a room", "photo of a tortoise", "a barn at night")
"""Captions that name no concept: what they show should stay."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityCase:
    """Concepts that are merged, and what one picture should show together.

    Attributes:
        names: The names of individuals; things, and at most one art style.
        beside: An ordinary kind of thing that stands beside them, if any.
    """

    names: tuple[str, ...]
    beside: str | None = None

    @property
    def label(self) -> str:
        """Such as ``mycat + mypot``."""
        return " + ".join((*self.names, *([] if self.beside is None else [self.beside])))

    @property
    def things(self) -> tuple[str, ...]:
        """The individuals that are things."""
        return tuple(name for name in self.names if INDIVIDUALS[name].thing is not None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What a judge should find in a picture of all; styles cannot be found."""
        nouns = [INDIVIDUALS[name].class_noun for name in self.things]
        return tuple(nouns if self.beside is None else [*nouns, self.beside])

    def own_prompts(self, name: str) -> tuple[str, ...]:
        """Return prompts of one concept alone, with "{}" for its phrase."""
        if name in self.things:
            return ("photo of a {}", *(f"a {{}} {place}" for place in PLACES_SHOWN))
        return ("photo of a {}", "a cat in {}", "a red chair in {}", "a barn in {}")

    def together_prompts(self, phrases: dict[str, str]) -> tuple[str, ...]:
        """Return prompts that name all.

        Args:
            phrases: How a prompt names each individual.
        """
        shown = [phrases[name] for name in self.things]
        shown += [] if self.beside is None else [self.beside]
        style = "".join(f" in {phrases[name]}" for name in self.names if name not in self.things)
        return tuple(
            "a " + " next to a ".join(shown) + f" {place}{style}" for place in PLACES_SHOWN
        )


CASES = (
    QualityCase(names=("mypot", "mycat")),
    QualityCase(names=("mytable", "mychair")),
    QualityCase(names=("mypot", "myflower")),
    QualityCase(names=("mychair", "mycat")),
    QualityCase(names=("mycat", "mydog")),
    QualityCase(names=("mycat", "myneon")),
    QualityCase(names=("mycat",), beside="table"),
    QualityCase(names=("mycat", "mypot", "mychair")),
    QualityCase(names=("mycat", "mypot", "mychair", "mytortoise")),
    QualityCase(names=("mycat", "mypot", "mychair", "mytortoise", "mybarn")),
)
"""The paper's four pairs, its known failure, a style, an ordinary thing, and more at once."""

assert all(case.beside is None or case.beside in KINDS for case in CASES)
