"""The steps of the image, run as far as a machine without Docker can.

Its RUN steps are given to a shell word for word, under a folder in the place of the image's root,
in a fresh environment that sees this one's libraries, as the Ray image has its own. pip is kept
from the network and from dependencies. The Ray image itself, torch for CUDA and the user are not
tried.
"""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.pip_environment import python_with_libraries

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def instructions() -> Iterator[tuple[str, str]]:
    text = DOCKERFILE.read_text(encoding="utf-8")
    text = re.sub("(?m)^#.*\n", "", text).replace("\\\n", "")
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def ignored(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps out: at the top all but what it names, caches everywhere."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    everywhere = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    out = shutil.ignore_patterns(*everywhere)(folder, names)
    if Path(folder) == ROOT:
        assert "*" in lines
        out |= set(names) - {line[1:] for line in lines if line.startswith("!")}
    return out


@dataclass
class Image:
    """What a build has left under a folder."""

    root: Path
    environment: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    place: Path = Path("/")

    def at(self, path: str) -> Path:
        return self.root / (self.place / path).relative_to("/")

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.at("."),
            env=self.environment | self.arguments,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def copy(rest: str, image: Image, stages: dict[str, Image]) -> None:
    flags = dict(word[2:].split("=") for word in rest.split() if word.startswith("--"))
    source, target = (word for word in rest.split() if not word.startswith("--"))
    if "from" in flags:
        shutil.copytree(stages[flags["from"]].at(source), image.at(target))
    elif source == ".":
        shutil.copytree(ROOT, image.at(target), ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(ROOT / source, image.at(target))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    environment = python_with_libraries(folder)
    stages: dict[str, Image] = {}
    made = Image(folder, environment)
    for word, rest in instructions():
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            stages[name] = made = Image(folder / name, environment)
        elif word == "ARG":
            name, _, value = rest.partition("=")
            # Nothing can be fetched here: torch is the one that is there.
            made.arguments[name] = f"torch=={version('torch')}" if name == "TORCH" else value
        elif word == "WORKDIR":
            made.place = Path(rest)
            made.at(".").mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            copy(rest, made, stages)
        elif word == "RUN":
            made.run("sh", "-c", rest)
        else:
            assert word in {"USER", "CMD"}
    return made


def test_the_image_is_that_of_the_pinned_ray_and_torch() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")
    (ray,) = re.findall("(?m)^ray==(.*)$", PINS)
    assert re.fullmatch(rf"{re.escape(ray)}-py311-cu12\d", arguments["RAY"])
    assert "Python 3.11" in PINS.splitlines()[0]
    assert arguments["TORCH"] in PINS.splitlines()
    bases = [rest.split(" AS ")[0] for word, rest in instructions() if word == "FROM"]
    assert set(bases) == {"rayproject/ray:${RAY}"}


def test_the_image_does_not_run_as_root() -> None:
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users[-1].split(":")[0] == "1000"


def test_every_package_of_the_wheel_is_sent_to_the_build() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = {name.split(".")[0] for name in settings["tool"]["setuptools"]["packages"]}
    assert "cdcore" in shipped
    assert shipped & ignored(str(ROOT), [*shipped]) == set()


@pytest.mark.slow
def test_nothing_but_the_source_of_the_wheel_is_sent_to_the_build(image: Image) -> None:
    source = image.root.parent / "wheel" / "home" / "ray" / "source"
    sent = {path.name for path in source.iterdir()} - {"build", "customdiffusion_ray.egg-info"}
    packages = {"cdcore", "examples", "raycluster", "rayjobs", "serve", "tune"}
    assert sent == packages | {"constraints.txt", "LICENSE", "pyproject.toml", "README.md"}


@pytest.mark.slow
def test_the_command_of_the_image_prints_its_help(image: Image) -> None:
    (command,) = (json.loads(rest) for word, rest in instructions() if word == "CMD")
    assert "--images" in image.run(*command)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "python rayjobs/train.py",
        "python rayjobs/sample.py",
        "python tune/sweep.py",
        "python -m rayjobs.train",
        "python -m serve",
    ],
)
def test_the_commands_of_the_documents_run_in_the_image(image: Image, command: str) -> None:
    assert "--base" in image.run(*command.split(), "--help")


@pytest.mark.slow
def test_the_image_has_the_wheel_and_no_other_copy_of_the_code(image: Image) -> None:
    names = ("rayjobs.train", "serve.app", "tune.sweep")
    script = f"import importlib.util as it; [print(it.find_spec(name).origin) for name in {names}]"
    found, *others = map(Path, image.run("python", "-c", script).splitlines())
    assert all("site-packages" in path.parts for path in (found, *others))
    copies = [path for path in image.root.rglob("train.py") if not path.is_symlink()]
    assert not [
        path for path in copies if path.resolve() != found.resolve() and "source" not in path.parts
    ]
