"""Settings: the fields of a configuration class, as a user writes them in a file or on a flag."""

import ast
import dataclasses
import difflib
import inspect
import textwrap
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from cdcore.command_line.values import Location, converted_value
from cdcore.errors import ConfigError

if TYPE_CHECKING:
    import yaml

__all__ = ["REQUIRED", "Setting", "closest", "read_settings", "settings_of"]

REQUIRED: Any = object()
"""Stands for the value of a setting that has no default."""

_TYPES: dict[Any, tuple[str, str]] = {
    int: ("INT", "a whole number"),
    float: ("FLOAT", "a number"),
    str: ("TEXT", "text in UTF-8, in quotes where YAML would read something else"),
    Location: ("TEXT", "text, in quotes where YAML would read something else"),
    Path: ("PATH", "a path on this machine"),
    bool: ("BOOL", "true or false"),
}
"""How the help names a type, and how an error does."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One field of a configuration class.

    Its type is ``bool``, ``int``, ``float``, ``str``, `Location`, ``Path``, a ``Literal``, a
    ``tuple[T, ...]`` of these, or one of all these with ``None``; or a ``tuple[E, ...]`` of
    entries, where E is a dataclass of such fields. An entry is a mapping in YAML and
    ``KEY=VALUE,KEY=VALUE`` as a text.

    Attributes:
        name: The field's name, and its key in YAML.
        annotation: The field's type.
        default: The field's default, or `REQUIRED`.
        doc: The text that stands under the field in its class.
        renamed: Values that earlier versions knew by another name, and that of now; from
            ``RENAMED_VALUES`` of the class, by field.
    """

    name: str
    annotation: Any
    default: Any
    doc: str
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def flag(self) -> str:
        """Its name on the command line, such as ``--class-noun``."""
        return "--" + self.name.replace("_", "-")

    @property
    def can_be_unset(self) -> bool:
        """Whether the word ``none`` on the command line means None; as a text it means itself."""
        return type(None) in get_args(self.annotation) and self._plain not in (str, Location)

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value: it is true or false, and never unset."""
        return self.annotation is bool

    @property
    def is_list(self) -> bool:
        """Whether it takes any number of values."""
        return get_origin(self._plain) is tuple

    @property
    def metavar(self) -> str:
        """What stands for its value in the help, such as ``INT``."""
        one = _described(self._element)[0]
        return f"{one} [{one} ...]" if self.is_list else one

    def converted(self, value: Any, where: str) -> Any:
        """Return ``value`` in this setting's type.

        Args:
            value: A text, or what YAML makes of one.
            where: How an error names the setting.

        Raises:
            ConfigError: The value is not of that type.
        """
        element: Any = self._element
        if dataclasses.is_dataclass(element) and isinstance(value, list):
            entries = enumerate(value, start=1)
            return tuple(_entry(element, entry, f"{where}, entry {n}") for n, entry in entries)
        if value is None and type(None) in get_args(self.annotation):
            return None
        try:
            if not self.is_list:
                return converted_value(element, value)
            if isinstance(value, list | tuple):
                return tuple(converted_value(element, one) for one in value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        except (ValueError, OverflowError):
            pass
        if isinstance(value, str) and value in self.renamed:
            raise ConfigError(f"{where} is {value!r}, which is called {self.renamed[value]!r} now")
        expected = _described(self._element)[1]
        expected = f"a list, each of it {expected}" if self.is_list else expected
        raise ConfigError(f"{where} is {value!r}, expected {expected}")

    @property
    def _plain(self) -> Any:
        """The type without None."""
        if get_origin(self.annotation) not in (Union, types.UnionType):
            return self.annotation
        return next(part for part in get_args(self.annotation) if part is not type(None))

    @property
    def _element(self) -> Any:
        return get_args(self._plain)[0] if self.is_list else self._plain


def settings_of(config_class: type) -> dict[str, Setting]:
    """Return the settings of a dataclass by name, in its order."""
    hints = get_type_hints(config_class, include_extras=True)
    docs = _field_docs(config_class)
    renamed = getattr(config_class, "RENAMED_VALUES", {})
    return {
        field.name: Setting(
            name=field.name,
            annotation=hints[field.name],
            default=_default(field),
            doc=docs.get(field.name, ""),
            renamed=renamed.get(field.name, {}),
        )
        for field in dataclasses.fields(config_class)
    }


def read_settings(path: Path, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Read a YAML file whose keys are names of settings.

    Args:
        path: The file; an empty one holds no settings.
        settings: By name.

    Returns:
        The values that the file gives, converted; relative paths are relative to the file.

    Raises:
        ConfigError: It cannot be read, is no YAML mapping, has an unknown key, or a value is not
            of its setting's type.
    """
    # Most commands are given no file, and need not wait for it.
    import yaml

    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({_reason(error)})") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected lines such as 'steps: 250', one for each setting")
    for name in values:
        if name not in settings:
            raise ConfigError(f"{path}: unknown key {name!r}{closest(str(name), settings)}")
    converted = {
        name: settings[name].converted(value, f"{path}: {name}") for name, value in values.items()
    }
    return {name: _anchored(value, path.parent) for name, value in converted.items()}


def _anchored(value: Any, folder: Path) -> Any:
    """Read a relative path in a file as relative to that file, wherever the job is started."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_anchored(part, folder) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return type(value)(**{name: _anchored(part, folder) for name, part in fields.items()})
    return value


def closest(word: str, words: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the nearest of ``words``, or nothing."""
    matches = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _entry(kind: Any, value: Any, where: str) -> Any:
    """Make one entry of a list from a mapping or from a text."""
    settings = settings_of(kind)
    given = _pairs(value) if isinstance(value, str) else value
    if not isinstance(given, dict):
        raise ConfigError(f"{where} is {value!r}, expected {_described(kind)[1]}")
    for key in given:
        if key not in settings:
            raise ConfigError(f"{where}: unknown key {key!r}{closest(str(key), settings)}")
    missing = [
        name
        for name, setting in settings.items()
        if setting.default is REQUIRED and name not in given
    ]
    if missing:
        raise ConfigError(f"{where}: {' and '.join(missing)} must be given")
    return kind(
        **{name: settings[name].converted(part, f"{where}: {name}") for name, part in given.items()}
    )


def _pairs(text: str) -> dict[str, str] | None:
    """Split ``KEY=VALUE,KEY=VALUE``, or return None where it is something else."""
    parts = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in parts):
        return None
    return {key.strip(): value for key, _, value in parts}


def _described(kind: Any) -> tuple[str, str]:
    if dataclasses.is_dataclass(kind):
        keys = ", ".join(field.name for field in dataclasses.fields(kind))
        return "KEY=VALUE,...", f"KEY=VALUE pairs joined by commas, with the keys {keys}"
    if get_origin(kind) is Literal:
        choices = [str(choice) for choice in get_args(kind)]
        return "{" + ",".join(choices) + "}", "one of " + ", ".join(choices)
    return _TYPES[kind]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _field_docs(config_class: type) -> dict[str, str]:
    """Return the text under each field of a class and its parents, which Python does not keep."""
    docs: dict[str, str] = {}
    for parent in filter(dataclasses.is_dataclass, reversed(config_class.__mro__)):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    docs[name] = " ".join(doc.split())
    return docs


def _reason(error: "yaml.YAMLError") -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', '')}"
    return " ".join(str(error).split())
