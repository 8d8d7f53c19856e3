from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rayjobs.config.concept_source import ConceptSource


@pytest.mark.parametrize(
    ("folder", "changes", "token"),
    [
        ("photos/mycat", {}, "<mycat>"),
        ("photos/mycat/", {}, "<mycat>"),
        ("IMG (Tom) 2024", {}, "<img-tom-2024>"),
        ("mycat", {"name": "Tom"}, "<tom>"),
        ("mycat", {"name": "Tom", "modifier_token": "<x>"}, "<x>"),
        ("photos/My Cat.ZIP", {}, "<my-cat>"),
        ("mycat", {"modifier_token": "none"}, None),
    ],
)
def test_the_token_is_the_one_given_else_made_of_the_name_else_of_the_folder(
    folder: str, changes: dict[str, Any], token: str | None
) -> None:
    assert ConceptSource(images=Path(folder), class_noun="cat", **changes).token == token


def test_a_folder_without_a_name_of_its_own_has_that_of_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tom").mkdir()
    monkeypatch.chdir(tmp_path / "tom")
    assert ConceptSource(images=Path("."), class_noun="cat").token == "<tom>"


def test_its_text_is_what_the_command_line_takes() -> None:
    source = ConceptSource(images=Path("a b/c"), class_noun="wooden pot", initializer_token="pot")
    assert str(replace(source, regularization=Path("r"))).endswith(",regularization=r")
    assert str(source) == "images=a b/c,class_noun=wooden pot,initializer_token=pot"
