"""Every error a user can cause, as one tree.

    CustomDiffusionError
    ├── ConfigError            a setting is missing, unknown or impossible
    ├── PictureError           a picture or a folder of pictures cannot be used
    ├── TokenError             a class noun or a modifier token cannot be used
    ├── BaseModelError         a base model cannot be found or read
    ├── ConceptFileError       a concept file cannot be read, or is of a newer schema
    │   └── BaseMismatchError  a concept was trained on another base
    ├── UpdateShapeError       an update does not fit the K/V stack it is meant for
    ├── MergeError             a merge would not keep what it promises
    ├── RunError               a run directory cannot be used as asked
    ├── RegistryError          a registry of concepts cannot be used as asked
    │   └── UnknownConceptError    it has no such concept or version
    └── ServingError           a request for pictures cannot be served
        ├── OverloadedError        too much work waits already; says when to come again
        ├── DeadlineError          it cannot be done by its deadline
        ├── RequestCancelledError  its client has taken it back
        └── EngineStoppedError     the engine drains, or has stopped

A message says what was given, what was expected and what to do, and is one line: names in it may
hold line breaks and bytes that are no text. Errors keep only their message, so they cross process
borders intact.
"""

__all__ = [
    "BaseMismatchError",
    "BaseModelError",
    "ConceptFileError",
    "ConfigError",
    "CustomDiffusionError",
    "DeadlineError",
    "EngineStoppedError",
    "MergeError",
    "OverloadedError",
    "PictureError",
    "RegistryError",
    "RequestCancelledError",
    "RunError",
    "ServingError",
    "TokenError",
    "UnknownConceptError",
    "UpdateShapeError",
    "first_line",
    "one_line",
]


class CustomDiffusionError(Exception):
    """Root of all errors that are the user's to mend; printed as one line."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(CustomDiffusionError):
    """A setting is missing, unknown or impossible."""


class PictureError(CustomDiffusionError):
    """A picture, or a folder of pictures, cannot be used."""


class TokenError(CustomDiffusionError):
    """A class noun or a modifier token cannot be used with this tokenizer."""


class BaseModelError(CustomDiffusionError):
    """A base model cannot be found or read."""


class ConceptFileError(CustomDiffusionError):
    """A concept file cannot be read, or was written by a newer schema."""


class BaseMismatchError(ConceptFileError):
    """A concept was trained on another base than the one it is used with."""


class UpdateShapeError(CustomDiffusionError):
    """An update does not fit the K/V stack it is meant for."""


class MergeError(CustomDiffusionError):
    """A merge is ill-posed: it would lose a concept, or change what has nothing to do with any."""


class RunError(CustomDiffusionError):
    """A run directory cannot be used as asked."""


class RegistryError(CustomDiffusionError):
    """A registry of concepts cannot be used as asked."""


class UnknownConceptError(RegistryError):
    """A registry has no such concept or version."""


class ServingError(CustomDiffusionError):
    """A request for pictures cannot be served."""


class OverloadedError(ServingError):
    """Too much work waits already.

    Attributes:
        retry_after_s: When there should be room, in seconds from now, at least 1.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(ServingError):
    """A request cannot be done by its deadline."""


class RequestCancelledError(ServingError):
    """A request was taken back by its client."""


class EngineStoppedError(ServingError):
    """The engine takes no more requests, or has stopped."""


def one_line(text: object) -> str:
    """Return a text, or a path, as one line that every terminal, file and answer can hold.

    What cannot be printed is written as Python writes it in a text, with a backslash: a line break,
    a colour of a terminal, a byte of a file's name that is not UTF-8.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name where it has none.

    A full stop at the end goes, so that the line can stand inside a sentence.
    """
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return one_line(line).rstrip(". ")
