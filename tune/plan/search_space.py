"""A search space: which settings of a training run vary, and over what.

A dimension is written as a text, in a file as on a command line:

    regularization_ratio=0,0.5,1,2        one of these
    prior_weight=0.25..2                  any number between these, the ends included
    learning_rate=log:5e-4..2e-2          the same, evenly in its logarithm
    learning_rate=log:5e-4..2e-2/5        one of five, evenly spread

Plain Python: no Ray, no model.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdcore.command_line.fields import Setting, closest, settings_of
from cdcore.errors import ConfigError
from cdcore.training.config import TrainingConfig
from rayjobs.config.training import FIELD_GROUPS, TrainJob

__all__ = [
    "SEARCHABLE",
    "Dimension",
    "by_present_value",
    "check_space",
    "grid_size",
    "most_of",
    "parse_space",
]

SEARCHABLE = FIELD_GROUPS["training"]
"""The settings that a sweep may vary: all that a training configuration has, but what is taught."""

_MOST_CHECKED = 4096
"""Combinations that are tried before a sweep starts."""
_MOST_POINTS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One setting and its values: a list, or a range of numbers.

    Attributes:
        field: Name of the setting.
        choices: Its values; empty for a range.
        low: Least value of a range.
        high: Largest value of a range, included.
        is_log: Whether a range is searched evenly in the logarithm.
    """

    field: str
    choices: tuple[Any, ...] = ()
    low: float | int | None = None
    high: float | int | None = None
    is_log: bool = False

    @property
    def is_range(self) -> bool:
        """Whether it is a range and not a list."""
        return not self.choices

    @property
    def is_whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int)

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values between which all others lie; of a list all of it."""
        return (self.low, self.high) if self.is_range else self.choices


def parse_space(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """Read a search space.

    Args:
        texts: A dimension each.

    Raises:
        ConfigError: There is none, one is not written as it should be, is of an unknown setting or
            of one that another has already, or has a value that is not of the setting's type.
    """
    if not texts:
        raise ConfigError(
            "search is empty, expected what to vary, such as learning_rate=log:5e-4..2e-2"
        )
    space = tuple(_dimension(text) for text in texts)
    names = [dimension.field for dimension in space]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"search: {name} stands there {names.count(name)} times, expected 1")
    return space


def by_present_value(text: str) -> str:
    """Return the text of a dimension, as an earlier version wrote it, with the values of now."""
    field, equals, values = text.partition("=")
    setting = settings_of(TrainJob).get(field.strip())
    if setting is None or not setting.renamed:
        return text
    present = [setting.renamed.get(value.strip(), value) for value in values.split(",")]
    return field + equals + ",".join(present)


def check_space(space: Sequence[Dimension], config: TrainingConfig, workers: int = 1) -> None:
    """Try what the space can come to: all combinations of the ends of ranges and of listed values.

    Args:
        space: The dimensions.
        config: The configuration of a run, with the settings that do not vary.
        workers: How many share the rows of a step.

    Raises:
        ConfigError: A combination is impossible; says which.
    """
    for dimension in space:
        for value in dimension.extremes:
            _try({dimension.field: value}, config, workers)
    for settings in itertools.islice(_corners(space), _MOST_CHECKED):
        _try(settings, config, workers)


def most_of(space: Sequence[Dimension], field: str, otherwise: int) -> int:
    """Return the largest value of a setting in the space, or ``otherwise`` where it is the same."""
    return max(
        (max(dimension.extremes) for dimension in space if dimension.field == field),
        default=otherwise,
    )


def grid_size(space: Sequence[Dimension]) -> int:
    """Return how many points a grid over the space has.

    Raises:
        ConfigError: A dimension is a range, which a grid cannot exhaust.
    """
    for dimension in space:
        if dimension.is_range:
            raise ConfigError(
                f"search: {dimension.field} is a range, expected a list for a grid, such as "
                f"{dimension.field}={_text(dimension)}/5"
            )
    return math.prod(len(dimension.choices) for dimension in space)


def _corners(space: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    names = [dimension.field for dimension in space]
    for values in itertools.product(*(dimension.extremes for dimension in space)):
        yield dict(zip(names, values, strict=True))


def _try(settings: Mapping[str, Any], config: TrainingConfig, workers: int) -> None:
    written = ", ".join(f"{name}={value}" for name, value in settings.items())
    try:
        made = replace(config, **settings)
    except ConfigError as error:
        raise ConfigError(f"search: {written} is impossible: {error}") from error
    if workers > made.rows_per_step:
        raise ConfigError(
            f"search: {written} is impossible: {workers} workers would share "
            f"{made.rows_per_step} rows, expected at least one row for each"
        )


def _dimension(text: str) -> Dimension:
    field, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not field:
        raise ConfigError(
            f"search: {text!r}, expected FIELD=VALUES such as prior_weight=0.5,1 or "
            "learning_rate=log:5e-4..2e-2"
        )
    if field not in SEARCHABLE:
        known = closest(field, SEARCHABLE) or f"; there are {', '.join(SEARCHABLE)}"
        raise ConfigError(f"search: unknown field {field!r}{known}")
    setting = settings_of(TrainJob)[field]
    if ".." in values:
        return _range(setting, values)
    return Dimension(field=field, choices=_distinct(setting, values.split(",")))


def _distinct(setting: Setting, texts: Sequence[str]) -> tuple[Any, ...]:
    words = [text.strip() for text in texts if text.strip()]
    if not words:
        raise ConfigError(f"search: {setting.name} has no values, expected one or more")
    return tuple(dict.fromkeys(_value(setting, word) for word in words))


def _value(setting: Setting, word: str) -> Any:
    value = setting.converted(word, f"search: {setting.name}")
    if value is None:
        raise ConfigError(f"search: {setting.name} is {word!r}, expected a value")
    return value


def _range(setting: Setting, values: str) -> Dimension:
    name = setting.name
    is_log = values.startswith("log:")
    ends, slash, count = values.removeprefix("log:").partition("/")
    low, high = (_value(setting, word.strip()) for word in ends.split("..", 1))
    if isinstance(low, bool) or not isinstance(low, int | float):
        raise ConfigError(f"search: {name}={values}, expected a list of values with commas")
    if not low < high:
        raise ConfigError(f"search: {name}={values}, expected the lower end of the range first")
    if is_log and low <= 0:
        raise ConfigError(
            f"search: {name}={values}, expected ends above 0 for a logarithm; or leave out 'log:'"
        )
    found = Dimension(field=name, low=low, high=high, is_log=is_log)
    return _spread(found, count) if slash else found


def _spread(dimension: Dimension, count: str) -> Dimension:
    """Make a list of ``count`` values, evenly spread over a range, its ends included."""
    number = int(count) if count.strip().isdigit() else 0
    if not 2 <= number <= _MOST_POINTS:
        raise ConfigError(
            f"search: {dimension.field}={_text(dimension)}/{count}, expected a number of values "
            f"from 2 to {_MOST_POINTS} after the slash"
        )
    assert dimension.low is not None
    assert dimension.high is not None
    low, high = dimension.low, dimension.high
    shares = [index / (number - 1) for index in range(number)]
    if dimension.is_log:
        values = [low * (high / low) ** share for share in shares]
    else:
        values = [low + (high - low) * share for share in shares]
    # Twelve digits tell any two apart and read well.
    rounded = [round(value) if dimension.is_whole else float(f"{value:.12g}") for value in values]
    return Dimension(field=dimension.field, choices=tuple(dict.fromkeys(rounded)))


def _text(dimension: Dimension) -> str:
    return f"{'log:' if dimension.is_log else ''}{dimension.low}..{dimension.high}"
