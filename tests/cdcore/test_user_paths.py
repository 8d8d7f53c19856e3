"""Tests of `cdcore.user_paths`."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcore.errors import ConfigError
from cdcore.user_paths import check_length, expanded


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, which is not the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", "/some/where")
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.mark.parametrize("text", ["~", "$HOME", "${HOME}"])
def test_home_is_written_out_at_the_beginning(text: str, home: Path) -> None:
    assert expanded(text) == str(home)
    assert expanded(f"{text}/x/~") == f"{home}/x/~"


def test_another_user_s_home_and_other_variables_too() -> None:
    assert expanded("~root/x") == os.path.join(os.path.expanduser("~root"), "x")
    assert expanded("$PLACE/x:0.5") == expanded("${PLACE}/x:0.5") == "/some/where/x:0.5"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "./x", "/x/~", "x/~", "a~b", "s3://bucket/~/x", "file:///~/x%20y"),
        *("CompVis/stable-diffusion-v1-4", "pocket", "a$", "$", "$-x", "$1", "x\udcff"),
        *("x.safetensors:0.5", "s3:0.5", "file:1", "C:/x", "C:\\x", "http://h:80/x", "hf:-.5"),
    ],
)
def test_anything_else_stays_as_it_is(text: str) -> None:
    assert expanded(text) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$HOME.bak/x", "HOME.bak/x"),
        ("a$HOME", "aHOME"),
        ("/scratch/$USER/x", "/scratch/me/x"),
        ("/scratch/${USER}-2/$USER", "/scratch/me-2/me"),
        ("~/$USER/x", "HOME/me/x"),
        ("s3://bucket/$USER/x", "s3://bucket/me/x"),
        ("./x/$USER", "./x/me"),
        ("runs/$USER.safetensors:0.5", "runs/me.safetensors:0.5"),
    ],
)
def test_a_variable_is_written_out_wherever_it_stands(
    text: str, wanted: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "me")
    assert expanded(text) == wanted.replace("HOME", str(home))


@pytest.mark.parametrize(
    "text",
    ["/scratch/$NOWHERE/x", "a/${NOWHERE}", "$HOMEx-y", "/x/${USER:-me}", "$(pwd)/x", "~/$NOWHERE"],
)
def test_a_variable_that_is_not_there_is_refused_unless_there_is_such_a_folder(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"there is no variable \$.*write the path in full"):
        expanded(text)
    (tmp_path / "my$NOWHERE").mkdir()
    assert expanded(f"{tmp_path}/my$NOWHERE/new") == f"{tmp_path}/my$NOWHERE/new"


def test_a_home_folder_with_a_dollar_in_its_name_is_a_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "we$ird"))
    assert expanded("~/x") == expanded("$HOME/x") == str(tmp_path / "we$ird/x")
    (tmp_path / "we$ird").mkdir()
    assert expanded(expanded("~/x")) == expanded("~/x")


@pytest.mark.parametrize(
    "text",
    [
        *("file:~/x", "file:/x", "file:x", "file://~/x", "FILE:~", "s3:/b/x", "s3:b/x", "s3://~/x"),
        *("gs:/b", "abfs:/b", "memory:/x", "s3+http:/x", "hdfs:host/x", "file:~root"),
    ],
)
def test_a_uri_that_lacks_a_slash_or_begins_at_home_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"expected a path of this machine .* or a URI, which has"
    ):
        expanded(text)
    Path(text.partition("/")[0]).mkdir()
    assert expanded(text) == text


@pytest.mark.parametrize("text", ["~no-such-user/x", "~no-such-user", "$NOWHERE/x", "${NOWHERE}"])
def test_no_user_and_no_variable_is_refused_unless_there_is_such_a_file(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no (user's home|variable) .*write the path in"
    ):
        expanded(text)
    path = Path(f"./{text}")
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert os.path.samefile(expanded(text), path)


@pytest.mark.parametrize("name", ["~", "~root", "~x", "$PLACE", "$NOWHERE"])
def test_a_name_that_begins_so_is_written_with_a_dot(name: str) -> None:
    path = Path(f"./{name}")
    path.touch()
    assert os.path.samefile(expanded(f"./{name}"), path)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8))
def test_a_second_time_nothing_is_left_to_expand(text: str) -> None:
    try:
        once = expanded(text)
    except ConfigError:
        return
    if not once.startswith("$"):
        assert expanded(once) == once
        assert str(Path(once).expanduser()) == str(Path(once))


def test_names_are_measured_in_bytes_wherever_they_stand(tmp_path: Path) -> None:
    for name in ("x" * 255, "猫" * 85, os.fsdecode(b"\xff" * 255)):
        check_length(tmp_path / name / name)
    for name, size in (("x" * 256, 256), ("猫" * 86, 258)):
        for path in (tmp_path / name, tmp_path / "a" / name / "b", Path(name)):
            with pytest.raises(ConfigError, match=f"has {size} bytes, .* at most 255"):
                check_length(path)
    assert not list(tmp_path.rglob("x*"))


def test_a_path_is_measured_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the path /.* bytes, expected less than 4096"):
        check_length(tmp_path.joinpath(*["x" * 200] * 21))
