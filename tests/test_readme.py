"""What the README shows in Python runs, and all that the documents name in the code is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import save_concept
from cdcore.concepts.subject import Subject
from cdcore.model.base import Base
from cdcore.model.location import ALIASES
from tests.hub import lay_out
from tests.tiny import random_update

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))),
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "deploy").rglob("*.md"))),
]
COMMANDS = ["Makefile", ".ci/run"]
WALKS = ["docs/training-row.md", "docs/request.md"]
PACKAGES = ("cdcore", "raycluster", "rayjobs", "serve", "tune")
CODE = (*PACKAGES, "benchmarks", "deploy", "tests")

PATH = re.compile(rf"(?<![\w./:-])(?:{'|'.join(CODE)}|examples|docs)/[\w./*-]*")
DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(CODE)})(?:\.[A-Za-z_]\w*)+")
SCRIPT = re.compile(r"(?<![\w/])(?:\.venv/bin/)?python (?!-)([\w./-]+)")
BARE = re.compile(r"^    (?:python|pytest|pip) .*", re.MULTILINE)
FILE = re.compile(r"`([\w/]+\.py)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`")

NOT_OURS = {"utils.py"}
"""Files that a document names because there are none of that name."""
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def _is_there(path: str) -> bool:
    """Whether a path of the repository exists, or what it leaves open (`*`, NAME) is filled."""
    path = re.sub(r"\bNAME\b", "*", path.rstrip("./"))
    return any(ROOT.glob(path))


@cache
def _files() -> tuple[str, ...]:
    found = (path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    return tuple(path.relative_to(ROOT).as_posix() for path in found)


@cache
def _words() -> frozenset[str]:
    """All words in the code of the packages."""
    sources = (_text(name) for name in _files() if name.startswith(PACKAGES))
    return frozenset(word for source in sources for word in re.findall(r"\w+", source))


def _names_something(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that a module defines or imports."""
    path = ROOT / dotted.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    if not module.is_file():
        return False
    body = ast.parse(module.read_text(encoding="utf-8")).body
    return path.name in {
        name
        for node in body
        for name in (
            [alias.asname or alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else [getattr(node, "name", ""), *_assigned(node)]
        )
    }


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("document", [*DOCUMENTS, *COMMANDS])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = _text(document)
    missing = {path for path in PATH.findall(text) if not _is_there(path)}
    missing |= {script for script in SCRIPT.findall(text) if not _is_there(script)}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_command_to_be_copied_is_that_of_the_environment(document: str) -> None:
    assert BARE.findall(_text(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_in_short_exists(document: str) -> None:
    short = set(FILE.findall(_text(document))) - NOT_OURS
    assert not {name for name in short if not any(f"/{it}".endswith(f"/{name}") for it in _files())}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_that_a_document_names_exists(document: str) -> None:
    assert not {name for name in DOTTED.findall(_text(document)) if not _names_something(name)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_to_one(document: str) -> None:
    here = (ROOT / document).parent
    assert not {link for link in LINK.findall(_text(document)) if not (here / link).exists()}


@pytest.mark.parametrize("document", WALKS)
def test_what_a_walk_through_the_code_calls_by_name_is_in_the_code(document: str) -> None:
    named = {part for name in NAME.findall(_text(document)) for part in name.split(".")}
    assert named
    unknown = named - _words()
    assert not unknown


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_stands_in_the_table_of_rooms(package: str) -> None:
    design = _text("docs/DESIGN.md")
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert not {room for room in rooms if not re.search(rf"^\|.*`{room}/`", design, re.MULTILINE)}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_of_the_readme_runs(
    block: str,
    tiny_base: Base,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the README has Stable Diffusion, the local hub cache holds a tiny pipeline."""
    cache = tmp_path / "hub"
    lay_out(tiny_folder, cache, ALIASES["sd1.4"])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    made = Concept(
        name="mycat",
        update=random_update(tiny_base.seam.layout.shape),
        tokens={"<mycat>": torch.ones(tiny_base.seam.layout.text_width)},
        subjects=(Subject(class_noun="cat", token="<mycat>"),),
        base_name="sd1.4",
        base_fingerprint=tiny_base.fingerprint,
    )
    save_concept(made, tmp_path / "runs" / "mycat" / "mycat.safetensors", tiny_base)
    before = set(tmp_path.iterdir())
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
    (written,) = set(tmp_path.iterdir()) - before
    with Image.open(written) as picture:
        assert picture.size == (64, 64)


def test_the_readme_shows_python() -> None:
    assert BLOCKS
    assert any("apply(pipe, " in block for block in BLOCKS)
