"""Every verb on every family, as docs/bases.md promises, on small random bases with true words."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cdcore.concepts.storage import load_concept
from cdcore.formats.known_formats import FORMATS
from cdcore.model.base import Base
from cdcore.model.update import DenseUpdate, FactoredUpdate
from cdcore.pictures.picture_folder import read_pictures
from cdcore.stock_pipeline import apply, remove
from cdcore.training.preparation import prepare
from cdcore.training.trainer import train_alone
from rayjobs import compress, convert, merge, sample
from rayjobs.config.concept_source import ConceptSource
from rayjobs.config.training import resolve
from rayjobs.runs.run_directory import RunDirectory
from serve.concepts.mix import ConceptRef
from tests.cdcore.concept_case import write_concept
from tests.checkout import ROOT
from tests.rayjobs.command import command
from tests.rayjobs.train_case import flags, job, write_pictures
from tests.serve.engine_case import SIMPLE, FolderSource, expected, mix, running
from tests.small_families import FamilyName

Folder = Callable[[FamilyName], Path]
SmallBase = Callable[[FamilyName], Base]
by_family = pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
READABLE = ["adobe", "adobe-compressed", "compvis", "custom-diffusion"]


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def concept(small_base: SmallBase, tmp_path: Path, family: FamilyName) -> Path:
    """A dense concept ``<mycat>`` of the family's base."""
    folder = tmp_path / "concepts"
    folder.mkdir()
    return write_concept(small_base(family), folder, "teddybear", rows=3)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


@by_family
@pytest.mark.parametrize("count", [1, 2])
def test_train(small_base: SmallBase, tmp_path: Path, family: FamilyName, count: int) -> None:
    """Alone and jointly, from pictures to a concept; SDXL's update is factors by default."""
    base = small_base(family)
    sources = tuple(
        ConceptSource(images=write_pictures(tmp_path / noun), class_noun=noun, name=f"my{noun[0]}")
        for noun in ("teddybear", "wooden pot")[:count]
    )
    one: dict[str, Any] = {"images": sources[0].images, "class_noun": "teddybear"}
    several = {"images": None, "class_noun": None, "train": "joint", "concepts": sources}
    made = job(tmp_path, base.name, rows_per_step=6, **(one if count == 1 else several))
    config = resolve(made, base)
    shown = [read_pictures(source.images) for source in sources]
    data = prepare(base, config, shown, tmp_path / "cache", lambda *_: None)
    losses: list[float] = []
    trained = train_alone(base, config, data, lambda metrics: losses.append(metrics.loss))
    trained.check_base(base)
    assert isinstance(trained.update, FactoredUpdate if family == "sdxl" else DenseUpdate)
    assert trained.update.dense().any()
    assert all(np.isfinite(losses))
    assert len(trained.tokens) == count
    for subject, row in zip(config.subjects, trained.tokens.values(), strict=True):
        start = base.text_encoder.initial_embedding(subject.initializer_token)
        moved = (row - start).split(base.text_encoder.widths)
        assert all(part.any() for part in moved)


@by_family
def test_sample(
    small_base: SmallBase,
    small_folder: Folder,
    concept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: FamilyName,
) -> None:
    """The command's picture is that of a stock pipeline with the concept in it."""
    from diffusers import DiffusionPipeline

    prompt = "a <mycat> teddybear, naïve café"
    argv = ("--concepts", concept, "--prompt", prompt, "--seed", 5, "--sampler", "ddim")
    more = ("--steps", 3, "--count", 1, "--guidance", 2, "--output", tmp_path / "out")
    assert command(monkeypatch, sample, *argv, *more, "--precision", "fp32") == 0
    pipe: Any = DiffusionPipeline.from_pretrained(small_folder(family))
    pipe.set_progress_bar_config(disable=True)
    before = {name: one.clone() for name, one in pipe.unet.state_dict().items()}
    tables = [encoder.get_input_embeddings().weight.clone() for encoder in _encoders(pipe)]
    apply(pipe, concept)
    generator = torch.Generator().manual_seed(5)
    drawn = pipe(
        prompt,
        num_inference_steps=3,
        guidance_scale=2.0,
        generator=generator,
        height=64,
        width=64,
        output_type="pt",
    ).images[0]
    theirs = (drawn * 255).permute(1, 2, 0).numpy()
    assert np.abs(_pixels(tmp_path / "out" / "mycat-0001.png") - theirs).max() < 1
    remove(pipe)
    assert all(torch.equal(before[name], one) for name, one in pipe.unet.state_dict().items())
    for encoder, table in zip(_encoders(pipe), tables, strict=True):
        assert torch.equal(encoder.get_input_embeddings().weight, table)


def _encoders(pipe: Any) -> list[Any]:
    second = getattr(pipe, "text_encoder_2", None)
    return [pipe.text_encoder, *([second] if second is not None else [])]


@by_family
def test_sample_at_another_resolution(
    small_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: FamilyName
) -> None:
    argv = ("--base", small_folder(family), "--prompt", "a cat", "--output", tmp_path)
    more = ("--steps", 1, "--count", 1, "--resolution", 128, "--device", "cpu")
    assert command(monkeypatch, sample, *argv, *more) == 0
    assert _pixels(tmp_path / "base-0001.png").shape == (128, 128, 3)


@by_family
@pytest.mark.parametrize("method", ["ridge", "constrained"])
def test_merge(
    small_base: SmallBase,
    concept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: FamilyName,
    method: str,
) -> None:
    base = small_base(family)
    other = write_concept(base, concept.parent, "wooden pot", name="mypot", seed=1, rows=4)
    output = tmp_path / "pair.safetensors"
    argv = ("--concepts", concept, other, "--output", output, "--cache", tmp_path / "cache")
    more = ("--method", method, "--allow-ill-posed", "--pictures", 0, "--export", "none")
    assert command(monkeypatch, merge, *argv, *more) == 0
    merged = load_concept(output)
    merged.check_base(base)
    assert set(merged.tokens) == {"<mycat>", "<mypot>"}
    if method == "constrained":
        for path in (concept, other):
            taught = load_concept(path)
            features = base.text_encoder.encode(taught.target_prompts, merged.tokens)
            # From the modifier token to the noun's last word: what the constraint is about.
            rows = features[0, 1:3]
            gap = merged.update.apply(rows) - taught.update.apply(rows)
            # Features of random towers nearly repeat each other, so a part of it is not asked for.
            assert gap.norm() < 0.5 * taught.update.apply(rows).norm()


@by_family
def test_compress(
    small_base: SmallBase,
    concept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: FamilyName,
) -> None:
    output = tmp_path / "small.safetensors"
    assert command(monkeypatch, compress, concept, output, "--energy", "0.9") == 0
    small, whole = load_concept(output), load_concept(concept)
    small.check_base(small_base(family))
    kept = (small.update.dense() - whole.update.dense()).norm() / whole.update.dense().norm()
    assert kept**2 < 0.11
    assert torch.equal(small.tokens["<mycat>"], whole.tokens["<mycat>"])


@pytest.mark.slow
@by_family
@pytest.mark.parametrize("name", READABLE)
def test_convert_there_and_back(
    small_base: SmallBase,
    concept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: FamilyName,
    name: str,
) -> None:
    base = small_base(family)
    suffixes = FORMATS[name].suffixes
    there = tmp_path / f"delta{suffixes[0] if suffixes else ''}"
    back = tmp_path / "back.safetensors"
    written = command(monkeypatch, convert, concept, there, "--to", name)
    if name == "custom-diffusion" and family == "sdxl":
        assert written != 0, "the format has one text encoder"
        return
    assert written == 0
    argv = (there, back, "--to", "concept", "--base", base.name, "--class-noun", "teddybear")
    named = () if name != "compvis" else ("--modifier-token", "<mycat>")
    assert command(monkeypatch, convert, *argv, *named) == 0
    before, after = load_concept(concept), load_concept(back)
    after.check_base(base)
    lost = (after.update.dense() - before.update.dense()).norm() / before.update.dense().norm()
    assert lost < (0.3 if name == "adobe-compressed" else 1e-3)
    ((row,), (read,)) = before.tokens.values(), after.tokens.values()
    torch.testing.assert_close(read, row, rtol=0, atol=1e-3)


@pytest.mark.slow
@by_family
@pytest.mark.parametrize("name", ["lycoris", "kohya", "embedding", "comfyui", "diffusers"])
def test_convert_out(
    concept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: FamilyName, name: str
) -> None:
    suffixes = FORMATS[name].suffixes if name in FORMATS else ()
    output = tmp_path / f"made{suffixes[0] if suffixes else ''}"
    assert command(monkeypatch, convert, concept, output, "--to", name) == 0
    assert output.exists()


@by_family
def test_serve(small_base: SmallBase, concept: Path, tmp_path: Path, family: FamilyName) -> None:
    """The engine's pictures are those of the sampler, bit for bit, with and without a concept."""
    base, source = small_base(family), FolderSource(concept.parent)
    mycat = ConceptRef("mycat", "1-abc")
    plain = replace(SIMPLE, prompt="a wooden pot", steps=2)
    requests = [
        plain,
        replace(plain, mix=mix(mycat), prompt="a <mycat> teddybear", seeds=(8,)),
        replace(plain, mix=mix(mycat), negative_prompt="a barn", prompt="a <mycat> teddybear"),
    ]
    with running(base, source, tmp_path / "cache") as engine:
        wanted = expected(base, source, requests)
        tickets = [engine.ask(request) for request in requests]
        for number, ticket in enumerate(tickets):
            assert torch.equal(ticket.result(200.0).pictures[0], wanted[number])


@pytest.mark.ray
@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_train_and_resume_as_a_job(
    small_base: SmallBase, small_folder: Folder, tmp_path: Path, family: FamilyName
) -> None:
    write_pictures(tmp_path / "images")
    made = job(tmp_path, small_folder(family), steps=2, class_noun="teddybear", checkpoint_every=1)
    run = RunDirectory(made.output / made.name)
    for steps in (2, 4):
        arguments = [*flags(made)]
        arguments[arguments.index("--steps") + 1] = str(steps)
        done = subprocess.run(
            [sys.executable, "rayjobs/train.py", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    trained = load_concept(run.concept_file)
    trained.check_base(small_base(family))
    assert (run.path / "exports").is_dir()
