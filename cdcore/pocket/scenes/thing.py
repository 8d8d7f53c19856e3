"""A thing of the pocket world: its kind, colours, pattern and accessories."""

from dataclasses import dataclass

KINDS = (
    "cat",
    "dog",
    "chair",
    "table",
    "wooden pot",
    "flower",
    "teddy bear",
    "tortoise",
    "barn",
    "moon gate",
    "person",
)
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
PATTERNS = ("plain", "striped", "spotted")
ACCESSORIES = ("hat", "collar", "scarf")
DETAILS = (
    "checkered legs",
    "eye patch",
    "heart patch",
    "lanterns",
    "one white ear",
    "round glasses",
    "smiling face",
    "star emblem",
)

NECK_KINDS = frozenset({"cat", "dog", "teddy bear", "tortoise", "person"})
HAT_KINDS = NECK_KINDS
WEARABLE = {"hat": HAT_KINDS, "collar": NECK_KINDS, "scarf": NECK_KINDS}
"""Which kinds can wear which accessory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing in a picture.

    Attributes:
        kind: One of `KINDS`.
        color: The main colour, one of `COLORS`.
        pattern: One of `PATTERNS`.
        pattern_color: The second colour, differs from `color`; None exactly when plain.
        hat: The colour of the hat, or None; only for `HAT_KINDS`.
        collar: The colour of the collar, or None; only for `NECK_KINDS`.
        scarf: The colour of the scarf, or None; only for `NECK_KINDS`, never with a collar.
        details: Small marks out of `DETAILS`, used only by the held-out individuals.

    Raises:
        ValueError: If the combination is not a valid one.
    """

    kind: str
    color: str
    pattern: str = "plain"
    pattern_color: str | None = None
    hat: str | None = None
    collar: str | None = None
    scarf: str | None = None
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses invalid combinations."""
        _require(self.kind, KINDS, "kind")
        _require(self.color, COLORS, "color")
        _require(self.pattern, PATTERNS, "pattern")
        if (self.pattern == "plain") != (self.pattern_color is None):
            raise ValueError("a pattern colour is given exactly when the pattern is not plain")
        if self.pattern_color is not None:
            _require(self.pattern_color, COLORS, "pattern colour")
        if self.pattern_color == self.color:
            raise ValueError(f"pattern colour equals the main colour: {self.color!r}")
        for name, color in self.accessories():
            _require(color, COLORS, f"{name} colour")
            if self.kind not in WEARABLE[name]:
                raise ValueError(f"a {self.kind} cannot wear a {name}")
        if self.collar and self.scarf:
            raise ValueError("a neck holds a collar or a scarf, not both")
        for detail in self.details:
            _require(detail, DETAILS, "detail")

    def accessories(self) -> tuple[tuple[str, str], ...]:
        """Returns the worn accessories as (name, colour), in the order of `ACCESSORIES`."""
        worn = ((name, getattr(self, name)) for name in ACCESSORIES)
        return tuple((name, color) for name, color in worn if color is not None)

    def look(self) -> tuple[str, str, str, str | None]:
        """Returns (kind, colour, pattern, pattern colour): what held-out things are known by."""
        return (self.kind, self.color, self.pattern, self.pattern_color)


def _require(value: str, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        raise ValueError(f"unknown {what} {value!r}, expected one of {', '.join(allowed)}")
