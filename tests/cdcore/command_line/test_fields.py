from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from cdcore.command_line.fields import REQUIRED, closest, read_settings, settings_of
from cdcore.errors import ConfigError

Solver = Literal["ddim", "dpm++"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """An entry."""

    folder: Path
    noun: str
    share: float = 1.0
    word: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A parent."""

    seed: int = 0
    """Of every draw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job(Parent):
    """A job."""

    RENAMED_VALUES: ClassVar[Mapping[str, Mapping[str, str]]] = {"sampler": {"dpm": "dpm++"}}

    images: Path
    """Folder of pictures;
    4 to 20."""
    class_noun: str = "cat"
    steps: int | None = None
    """Optimiser steps."""
    rate: float = 8e-5
    sampler: Solver | None = None
    prompts: tuple[str, ...] = ()
    augment: bool = True
    flip: bool | None = None
    stage: Literal[0, 1, 2] = 0
    things: tuple[Thing, ...] = ()


SETTINGS = settings_of(Job)
CHAIR_PAIRS = "folder=x,noun=chair"


def test_every_field_is_a_setting_with_its_flag_and_default() -> None:
    assert list(SETTINGS) == [
        *("seed", "images", "class_noun", "steps", "rate", "sampler", "prompts", "augment"),
        *("flip", "stage", "things"),
    ]
    assert SETTINGS["class_noun"].flag == "--class-noun"
    assert SETTINGS["images"].default is REQUIRED
    assert SETTINGS["rate"].default == 8e-5


def test_the_text_under_a_field_is_its_doc_also_from_a_parent() -> None:
    assert SETTINGS["images"].doc == "Folder of pictures; 4 to 20."
    assert SETTINGS["seed"].doc == "Of every draw."
    assert SETTINGS["class_noun"].doc == ""


@pytest.mark.parametrize(
    ("name", "metavar"),
    [
        ("images", "PATH"),
        ("class_noun", "TEXT"),
        ("steps", "INT"),
        ("rate", "FLOAT"),
        ("sampler", "{ddim,dpm++}"),
        ("prompts", "TEXT [TEXT ...]"),
        ("flip", "BOOL"),
        ("things", "KEY=VALUE,... [KEY=VALUE,... ...]"),
    ],
)
def test_a_metavar_names_the_type_without_none(name: str, metavar: str) -> None:
    assert SETTINGS[name].metavar == metavar


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("steps", "12", 12),
        ("steps", None, None),
        ("rate", "8e-5", 8e-5),
        ("rate", 1, 1.0),
        ("images", "some/where", Path("some/where")),
        ("prompts", ["a", "b"], ("a", "b")),
        ("prompts", [], ()),
        ("sampler", "ddim", "ddim"),
        ("augment", False, False),
        ("flip", None, None),
        ("flip", "true", True),
        ("flip", False, False),
        ("stage", "2", 2),
        ("stage", 1, 1),
    ],
)
def test_texts_and_yaml_values_are_converted(name: str, value: object, converted: object) -> None:
    result = SETTINGS[name].converted(value, name)
    assert result == converted
    assert type(result) is type(converted)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", "three", "a whole number"),
        ("steps", 2.5, "a whole number"),
        ("steps", True, "a whole number"),
        ("rate", "nan", "a number"),
        ("rate", None, "a number"),
        ("images", "", "a path"),
        ("images", "a\0b", "a path"),
        ("prompts", ["a", "a\0b"], "a list"),
        ("class_noun", 7, "text"),
        ("sampler", "euler", "one of ddim, dpm"),
        ("prompts", "a cat", "a list"),
        ("prompts", [1], "a list"),
        ("augment", "maybe", "true or false"),
        ("stage", "3", "one of 0, 1, 2"),
        ("stage", True, "one of 0, 1, 2"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(ConfigError, match=f"^here is .*, expected {expected}"):
        SETTINGS[name].converted(value, "here")


CHAIR = Thing(folder=Path("some/where"), noun="old chair", share=0.5)


@pytest.mark.parametrize(
    "entry",
    [
        {"folder": "some/where", "noun": "old chair", "share": 0.5},
        "folder=some/where,noun=old chair,share=0.5",
        "share=0.5, noun=old chair,folder=some/where",
    ],
)
def test_an_entry_is_a_mapping_or_pairs_in_any_order(entry: object) -> None:
    assert SETTINGS["things"].converted([entry], "here") == (CHAIR,)


def test_a_value_may_hold_the_sign_that_ends_its_key() -> None:
    (thing,) = SETTINGS["things"].converted(["folder=a=b,noun=c"], "here")
    assert thing.folder == Path("a=b")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"folder": "x", "noun": "y"}, "here is {'folder': 'x', 'noun': 'y'}, expected a list"),
        ("folder=x,noun=y", "here is 'folder=x,noun=y', expected a list, each of it KEY=VALUE"),
        ([CHAIR_PAIRS, "old chair"], "here, entry 2 is 'old chair', expected KEY=VALUE pairs"),
        (["folder=a,b,noun=c"], "here, entry 1 is 'folder=a,b,noun=c', expected KEY=VALUE pairs"),
        (
            [3],
            "here, entry 1 is 3, expected KEY=VALUE pairs joined by commas, with the keys folder",
        ),
        ([CHAIR_PAIRS, "folder=x"], "here, entry 2: noun must be given"),
        ([{}], "here, entry 1: folder and noun must be given"),
        (["folder=x,nuon=y"], "here, entry 1: unknown key 'nuon'; did you mean noun?"),
        ([{1: 2}], "here, entry 1: unknown key 1"),
        ([CHAIR_PAIRS, "folder=x,noun=y,share=much"], "here, entry 2: share is 'much', expected a"),
        (["folder=,noun=y"], "here, entry 1: folder is '', expected a path"),
        ([{"folder": "x", "noun": None}], "here, entry 1: noun is None, expected text"),
    ],
)
def test_a_bad_entry_is_refused_by_its_place(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS["things"].converted(value, "here")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return path


def test_a_file_gives_converted_values_for_its_keys_only(tmp_path: Path) -> None:
    path = _file(tmp_path, "images: pictures\nrate: 3e-4\nprompts: [a cat, a dog]\nsteps: null\n")
    assert read_settings(path, SETTINGS) == {
        "images": tmp_path / "pictures",
        "rate": 3e-4,
        "prompts": ("a cat", "a dog"),
        "steps": None,
    }


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    assert read_settings(_file(tmp_path, "# nothing yet\n"), SETTINGS) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: " + "x" * 300, "images: the name xxxx"),
        ("images: ~no-such-user/x", "images: ~no-such-user/x: there is no user's home"),
        ("step: 3", "unknown key 'step'; did you mean steps?"),
        ("class-noun: cat", "unknown key 'class-noun'; did you mean class_noun?"),
        ("1: cat", "unknown key 1"),
        ("steps: many", "steps is 'many', expected a whole number"),
        ("steps: [1", "not valid YAML (line 1: "),
        ("seed: 1\nsteps: a: b", "not valid YAML (line 2: "),
        ("- steps", "expected lines such as"),
        ("just words", "expected lines such as"),
        ("a: \x07", "not valid YAML"),
        ("!!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_place(
    text: str, message: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path, SETTINGS)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / name, SETTINGS)


def test_only_a_near_word_is_suggested() -> None:
    assert closest("stpes", ["steps", "seed"]) == "; did you mean steps?"
    assert closest("zebra", ["steps", "seed"]) == ""


def test_a_relative_path_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    assert read_settings(_file(tmp_path, "images: some/where"), SETTINGS) == {
        "images": tmp_path / "some/where"
    }
    assert read_settings(_file(tmp_path, "images: /some/where"), SETTINGS) == {
        "images": Path("/some/where")
    }
    nested = "things:\n- {folder: some/where, noun: old chair, share: 0.5}\n"
    assert read_settings(_file(tmp_path, nested), SETTINGS) == {
        "things": (replace(CHAIR, folder=tmp_path / "some/where"),)
    }


def test_only_what_cannot_be_unset_is_a_flag_without_a_value() -> None:
    assert SETTINGS["augment"].is_switch
    assert not SETTINGS["flip"].is_switch
    assert not SETTINGS["steps"].is_switch


def test_a_value_of_another_name_before_is_refused_with_its_name_of_now(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--sampler is 'dpm', which is called 'dpm\+\+' now$"):
        SETTINGS["sampler"].converted("dpm", "--sampler")
    file = tmp_path / "job.yaml"
    file.write_text("sampler: dpm\n")
    with pytest.raises(ConfigError, match=r"job\.yaml: sampler is 'dpm', which is called"):
        read_settings(file, SETTINGS)
    assert SETTINGS["sampler"].converted("dpm++", "--sampler") == "dpm++"
