"""The rules of the house that no other tool checks: purity at run time, mirrored tests, sizes."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cdcore", "raycluster", "rayjobs", "serve", "tune")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80

IMPURE = {"ray", "deepspeed", "fastapi", "raycluster", "rayjobs", "serve", "tune"}
"""What no process that uses only cdcore may hold."""

# Modules without a test file of their own, each with the reason.
UNMIRRORED = {
    "cdcore/scoring/embedder.py": "only protocols; mypy holds them",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


SOURCES = [path.relative_to(ROOT).as_posix() for path in _sources()]
MODULES = [name for name in SOURCES if not name.endswith("__init__.py")]
FILES = [
    *SOURCES,
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests").rglob("*.py"))),
]


def _tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def _public(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Public functions, classes and methods, not those defined inside functions."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{prefix}{node.name}.")


def _is_override(node: ast.ClassDef | Function) -> bool:
    return any("override" in ast.unparse(mark) for mark in node.decorator_list)


def _loaded_after(script: str) -> set[str]:
    """Top-level packages a fresh interpreter holds after ``script``."""
    tail = (
        "\nimport sys\nsys.stdout.write('\\n' + ' '.join({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + tail],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_all_of_cdcore_loads_no_cluster_and_no_web_library() -> None:
    script = (
        "import importlib, pkgutil, cdcore\n"
        "for module in pkgutil.walk_packages(cdcore.__path__, 'cdcore.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    loaded = _loaded_after(script)
    assert "torch" in loaded
    assert not loaded & IMPURE


def test_using_a_concept_loads_no_cluster_and_no_web_library(
    tiny_folder: Path, tmp_path: Path
) -> None:
    script = f"""
from pathlib import Path
import torch
from cdcore.model.loading import load_base
from cdcore.concepts.concept import Concept
from cdcore.concepts.storage import load_concept, save_concept
from cdcore.concepts.subject import Subject
from cdcore.model.update import DenseUpdate
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
base = load_base({str(tiny_folder)!r})
made = Concept(
    name="mycat",
    update=DenseUpdate(torch.zeros(base.seam.layout.shape)),
    tokens={{"<mycat>": base.text_encoder.initial_embedding("cat")}},
    subjects=(Subject(class_noun="cat", token="<mycat>"),),
    base_name=base.name,
    base_fingerprint=base.fingerprint,
)
path = Path({str(tmp_path)!r}) / "mycat.safetensors"
save_concept(made, path, base)
read = load_concept(path)
request = Request(
    prompt=read.phrases[0],
    seed=0,
    steps=1,
    guidance_scale=1,
    update=read.update,
    tokens=read.tokens,
)
assert sample(base, [request]).isfinite().all()
"""
    loaded = _loaded_after(script)
    assert "safetensors" in loaded
    assert not loaded & IMPURE


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_test_file_in_the_same_place(name: str) -> None:
    source = Path(name)
    mirror = ROOT / "tests" / source.parent / f"test_{source.name}"
    assert mirror.is_file() != (name in UNMIRRORED), f"expected {mirror.relative_to(ROOT)}"


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("tests/")])
def test_every_test_file_belongs_to_a_module_or_to_the_whole(name: str) -> None:
    path = Path(name)
    if path.name.startswith("test_") and path.parent != Path("tests"):
        source = path.relative_to("tests").parent / path.name.removeprefix("test_")
        # What is deployed lies in folders without code.
        folder = ROOT / source.with_suffix("")
        is_deployed = source.parts[0] == "deploy" and folder.is_dir()
        assert (ROOT / source).is_file() or is_deployed, (
            f"{name} tests {source}, which is not there"
        )


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for name in FILES for path in [Path(name)]}),
    ids=str,
)
def test_every_folder_of_code_is_a_package(folder: Path) -> None:
    # Without this, pytest puts tests/ on sys.path and finds tests/serve in place of serve.
    assert (ROOT / folder / "__init__.py").is_file()


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_stay_short(name: str) -> None:
    lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{name} has {lines} lines"
    for node in ast.walk(_tree(name)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{name}: {node.name} has {length} lines"


@pytest.mark.parametrize("name", SOURCES)
def test_every_public_name_is_described(name: str) -> None:
    tree = _tree(name)
    assert ast.get_docstring(tree), f"{name} has no docstring"
    bare = [
        full_name
        for full_name, node in _public(tree.body)
        if not ast.get_docstring(node) and not _is_override(node)
    ]
    assert not bare, f"{name}: no docstring on {', '.join(bare)}"


def test_the_package_list_is_complete() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(settings["tool"]["setuptools"]["packages"])
    on_disk = {
        Path(name).parent.as_posix().replace("/", ".")
        for name in SOURCES
        if name.endswith("__init__.py")
    }
    assert listed == on_disk | {"rayjobs.examples"}


def test_the_tested_pins_lie_in_the_declared_ranges() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["heif"], *extras["dev"]]:
        wanted = Requirement(text)
        version = versions.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted.name} has no tested pin"
        assert wanted.specifier.contains(version), f"{text} excludes {version}"
