"""The command line of a command, built from its configuration class.

Every field of a flat dataclass is a flag and a YAML key: ``class_noun`` is ``--class-noun`` and
``class_noun:``. A flag wins over the file that ``--config`` names, and the file over the default.
Whatever a user can cause ends as one line on standard error and exit status 2.
"""

import argparse
import contextlib
import dataclasses
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from cdcore.command_line.fields import REQUIRED, Setting, closest, read_settings, settings_of
from cdcore.errors import ConfigError, CustomDiffusionError, one_line

__all__ = ["CommandLine", "parse", "run_command"]

_BAD_INPUT, _INTERRUPTED, _CLOSED_PIPE = 2, 130, 141
_FILE = "config"
"""The setting that every command with a file has beside its own."""
_NONE = "none"
"""The word that unsets an optional setting on the command line."""

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """What a command may be told.

    Attributes:
        settings: Every setting by name; each is a flag.
        prog: The name of the command in the help.
        description: The first paragraph of the help.
        groups: Names of settings under the one-word title of their box in the help; settings in
            no group stand in the first box.
        stand_ins: Names of settings over the required ones that need not be given with them, and
            are None then.
        default_file: The file that is taken as ``--config`` when neither that nor any required
            flag, nor one that stands in for it, is given.
        leading: Names of settings whose values may stand first, in this order, without their flags.
        takes_file: Whether there is a flag ``--config``.
    """

    settings: Mapping[str, Setting]
    prog: str
    description: str
    groups: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    stand_ins: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    default_file: Path | None = None
    leading: Sequence[str] = ()
    takes_file: bool = True

    def read(self, argv: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the value of each setting; ``--help`` prints and exits.

        Args:
            argv: The arguments; None takes the process's own.

        Raises:
            ConfigError: A flag or key is unknown, a value is impossible, or a required one is
                missing.
        """
        argv = list(sys.argv[1:] if argv is None else argv)
        argv = _with_flags(argv, [self.settings[name].flag for name in self.leading])
        values = {name: setting.default for name, setting in self.settings.items()}
        file = self._file(argv) if self.takes_file else None
        if file is not None:
            values |= read_settings(file, self.settings)
        given = self._run_tyro(argv, values)
        for title in self.groups:
            given |= vars(given.pop(title))
        given.pop(_FILE, None)
        spared = {
            name for stand_in, names in self.stand_ins.items() if given[stand_in] for name in names
        }
        given |= {name: None for name in spared if given[name] is REQUIRED}
        missing = [self.settings[name].flag for name, value in given.items() if value is REQUIRED]
        if missing:
            raise ConfigError(
                f"{' and '.join(missing)} must be given; see '{self.prog} --help' for what to write"
            )
        return given

    def _file(self, argv: Sequence[str]) -> Path | None:
        """Find ``--config`` before anything else: the file's values are the flags' defaults."""
        finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        finder.add_argument(f"--{_FILE}")
        try:
            given_file: str | None = finder.parse_known_args(argv)[0].config
        except argparse.ArgumentError as error:
            raise ConfigError(f"--{_FILE} needs the path of a YAML file") from error
        if given_file is not None:
            file: Path = self._file_setting.converted(given_file, f"--{_FILE}")
            return file
        decisive = {
            setting.flag
            for setting in self.settings.values()
            if setting.default is REQUIRED or setting.name in self.stand_ins
        }
        given = {token.partition("=")[0].replace("_", "-") for token in argv}
        return None if given & (decisive | {"-h", "--help"}) else self.default_file

    def _layout(self, values: Mapping[str, Any]) -> type:
        """Build the class that tyro shows: each group of settings a class of its own."""
        flags = {name: _flag(setting, values[name]) for name, setting in self.settings.items()}
        grouped = {name for names in self.groups.values() for name in names}
        fields: list[Any] = [_flag(self._file_setting, None)] if self.takes_file else []
        fields += [flag for name, flag in flags.items() if name not in grouped]
        for title, names in self.groups.items():
            fields.append((title, _plain_class(title, [flags[name] for name in names])))
        return _plain_class("options", fields)

    @property
    def _file_setting(self) -> Setting:
        doc = "YAML file of settings, named as below with '_' for '-'; flags win over it."
        if self.default_file is not None:
            short = Path(self.default_file.parent.name, self.default_file.name)
            doc += f" Without it and without any required flag, {short} is taken."
        return Setting(name=_FILE, annotation=Path | None, default=None, doc=doc)

    def _run_tyro(self, argv: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
        printed = io.StringIO()
        given: Any
        try:
            with contextlib.redirect_stderr(printed):
                given, unknown = tyro.cli(
                    self._layout(values),
                    prog=self.prog,
                    description=self.description,
                    args=argv,
                    return_unknown_args=True,
                    config=(tyro.conf.OmitArgPrefixes,),
                )
        except SystemExit as exit_:
            if exit_.code != _BAD_INPUT:
                raise
            # tyro draws a box with a title in its frame around what it has to say.
            text = re.sub(r"[\u2500-\u257f\s]+", " ", printed.getvalue().partition("\n")[2])
            raise ConfigError(text.strip()) from None
        if unknown:
            flags = [setting.flag for setting in self.settings.values()]
            flags += [f"--{_FILE}"] * self.takes_file
            kind = "option" if unknown[0].startswith("-") else "argument"
            name = unknown[0].partition("=")[0]
            raise ConfigError(f"unknown {kind} {name}{closest(name, flags)}")
        return dict(vars(given))


def parse(config_class: type[Config], argv: Sequence[str] | None = None, **line: Any) -> Config:
    """Make a configuration from a command line; ``--help`` prints and exits.

    Args:
        config_class: A flat dataclass with a text under each field; see `Setting` for the types.
        argv: The arguments; None takes the process's own.
        line: The attributes of `CommandLine` other than its settings; ``prog`` and ``description``
            must be given.

    Returns:
        The configuration.

    Raises:
        ConfigError: As for `CommandLine.read`; or the class refuses a value.
    """
    return config_class(**CommandLine(settings=settings_of(config_class), **line).read(argv))


def run_command(main: Callable[[], None]) -> NoReturn:
    """Run a job and exit, with one line on standard error for whatever a user can mend.

    The exit status is 0, 2 for bad input, 130 when interrupted, 141 when the reader of standard
    output has gone. Any other exception passes: it is a defect, and its traceback is wanted. What
    standard output cannot hold, such as a byte of a file's name, is written with a backslash.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except CustomDiffusionError as error:
        _exit(_BAD_INPUT, f"error: {error}")
    except KeyboardInterrupt:
        _exit(_INTERRUPTED, "interrupted")
    except BrokenPipeError:
        # Python flushes once more at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED_PIPE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _exit(_BAD_INPUT, f"error: {where}{error.strerror or error}")
    except RuntimeError as error:
        if not _is_homeless(error):
            raise
        # Libraries look there as soon as they are imported.
        _exit(
            _BAD_INPUT,
            "error: this user has no home: HOME is not set, and the system knows none; set HOME to "
            "a folder that the user may write",
        )
    sys.exit(0)


def _is_homeless(error: RuntimeError) -> bool:
    """Whether pathlib has found no home for whoever runs this."""
    return "home directory" in str(error)


def _exit(status: int, message: str) -> NoReturn:
    sys.stderr.write(one_line(message) + "\n")
    sys.exit(status)


def _with_flags(argv: list[str], flags: Sequence[str]) -> list[str]:
    """Put its flag before each word that stands before the first flag."""
    count = next((at for at, word in enumerate(argv) if word.startswith("-")), len(argv))
    words = argv[: min(count, len(flags))]
    named = [part for pair in zip(flags, words, strict=False) for part in pair]
    return named + argv[len(words) :]


def _plain_class(name: str, fields: Sequence[Any]) -> type:
    made = dataclasses.make_dataclass(name, fields, kw_only=True)
    # dataclasses writes a signature there, which would stand in the help.
    made.__doc__ = None
    return made


def _flag(setting: Setting, value: Any) -> tuple[str, Any, Any]:
    """Describe one flag to tyro, with ``value`` as its default."""
    metavar = setting.metavar
    if setting.can_be_unset and value is not None and value is not REQUIRED:
        metavar += f"|{_NONE}"
    help_ = tyro.conf.arg(help=setting.doc, help_behavior_hint=_hint(value))
    if setting.is_switch:
        return setting.name, Annotated[bool, help_], dataclasses.field(default=value)

    def convert(texts: list[str]) -> Any:
        if setting.can_be_unset and texts == [_NONE]:
            return None
        return setting.converted(texts if setting.is_list else texts[0], setting.flag)

    spec = PrimitiveConstructorSpec[Any](
        nargs="*" if setting.is_list else 1,
        metavar=metavar,
        instance_from_str=convert,
        is_instance=lambda _: True,
        str_from_instance=lambda instance: [str(instance)],
    )
    return setting.name, Annotated[Any, spec, help_], dataclasses.field(default=value)


def _hint(value: Any) -> str:
    if value is REQUIRED:
        return "(required)"
    if value is None or value is False or value in ((), ""):
        return ""
    if value is True:
        return "(default: on)"
    text = shlex.join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"(default: {text})"
