import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from cdcore.concepts.storage import load_concept
from cdcore.formats.exports.tools import TOOLS
from cdcore.formats.known_formats import FORMATS
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from rayjobs import convert
from rayjobs.cli.parser import run_command
from rayjobs.config.conversion import FormatName
from tests.cdcore.concepts.test_stored_tensors import changed_copy

READABLE = ["adobe", "compvis", "custom-diffusion"]
SUFFIXES = {"adobe": "delta.bin", "compvis": "delta.ckpt", "custom-diffusion": "folder"}


def _command(monkeypatch: pytest.MonkeyPatch, *argv: object) -> int:
    monkeypatch.setattr(sys, "argv", ["convert.py", *map(str, argv)])
    with pytest.raises(SystemExit) as caught:
        run_command(convert.main)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_all_formats_and_tools_can_be_asked_for() -> None:
    assert set(get_args(FormatName)) == {"concept", *FORMATS, *TOOLS}


@pytest.mark.parametrize("name", READABLE)
def test_there_and_back_is_the_same_concept(
    name: str,
    concept_file: Path,
    tiny_folder: Path,
    tiny_base: Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there, back = tmp_path / SUFFIXES[name], tmp_path / "back.safetensors"
    assert _command(monkeypatch, concept_file, there, "--to", name) == 0
    argv = (there, back, "--to", "concept", "--base", tiny_folder, "--class-noun", "cat")
    assert _command(monkeypatch, *argv) == 0
    before, after = load_concept(concept_file), load_concept(back)
    after.check_base(tiny_base)
    # Absolute weights in float32 lose the last bits of a small difference.
    torch.testing.assert_close(after.update.dense(), before.update.dense(), rtol=0, atol=1e-4)
    ((row,), (read,)) = before.tokens.values(), after.tokens.values()
    assert torch.equal(read, row)
    assert [subject.class_noun for subject in after.subjects] == ["cat"]
    assert after.name == "back"
    out = capsys.readouterr().out
    assert f"MB: {back}" in out
    assert FORMATS[name].title in out


@pytest.mark.parametrize("name", [*sorted(set(FORMATS) - set(READABLE)), *TOOLS])
def test_everything_else_is_written(
    name: str, concept_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffixes = FORMATS[name].suffixes if name in FORMATS else ()
    output = tmp_path / f"made{suffixes[0] if suffixes else ''}"
    assert _command(monkeypatch, concept_file, output, "--to", name) == 0
    files = [output] if suffixes else [path for path in output.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_size > 100 for path in files)
    assert not list(tmp_path.rglob(".*"))


def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "made.safetensors"
    output.write_text("kept")
    argv = (concept_file, output, "--to", "lycoris")
    assert _command(monkeypatch, *argv) == 2
    assert "exists; choose another, or give --overwrite" in capsys.readouterr().err
    assert output.read_text() == "kept"
    assert _command(monkeypatch, *argv, "--overwrite") == 0
    assert output.stat().st_size > 1000


@pytest.mark.parametrize("earlier", ["custom-diffusion", "peft", "diffusers"])
@pytest.mark.parametrize("name", ["custom-diffusion", "peft"])
def test_a_folder_holds_one_concept_and_another_replaces_all_of_it(
    name: str,
    earlier: str,
    concept_file: Path,
    other_concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert _command(monkeypatch, concept_file, alone, "--to", name) == 0
    assert _command(monkeypatch, other_concept_file, shared, "--to", earlier) == 0
    (shared / "notes.md").write_text("kept")
    before = _contents(shared)
    assert _command(monkeypatch, concept_file, shared, "--to", name) == 2
    assert _contents(shared) == before
    assert _command(monkeypatch, concept_file, shared, "--to", name, "--overwrite") == 0
    assert _contents(shared).keys() == {*_contents(alone), Path("notes.md")}


def _contents(folder: Path) -> dict[Path, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_by_energy_the_loss_is_shown_and_by_size_it_is_kept(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small, large = tmp_path / "small.safetensors", tmp_path / "large.safetensors"
    assert _command(monkeypatch, concept_file, large, "--to", "kohya", "--energy", "0.99") == 0
    out = capsys.readouterr().out
    assert "error of the whole stack" in out
    assert "<mycat> is not in such a file; --to embedding writes it" in out
    argv = ("--to", "kohya", "--size", "0.005", "--dtype", "fp32")
    assert _command(monkeypatch, concept_file, small, *argv) == 0
    size = sum(t.numel() for t in load_file(small).values() if t.ndim == 2) * 2
    assert size <= 5000
    assert {tensor.dtype for tensor in load_file(small).values()} == {torch.float32}
    assert small.stat().st_size < large.stat().st_size


def test_a_published_file_of_a_known_family_needs_no_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = PUBLISHED_FAMILIES[0].layout
    unet = {
        name: {"u": torch.ones(width, 1), "v": torch.ones(1, layout.text_width)}
        for name, width in zip(layout.names, layout.widths, strict=True)
    }
    source, output = tmp_path / "compressed_delta.bin", tmp_path / "mycat.safetensors"
    torch.save({"unet": unet, "modifier_token": {"<new1>": torch.zeros(768)}}, source)
    argv = (source, output, "--to", "kohya", "--class-noun", "cat", "--name", "mycat")
    assert _command(monkeypatch, *argv) == 0
    assert len(load_file(output)) == 3 * 32
    assert "it teaches '<new1> cat'" in capsys.readouterr().out


def test_weights_can_be_put_onto_another_base(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.tiny import save_tiny_pipeline

    save_tiny_pipeline(tmp_path / "other", seed=1)
    argv = ("--to", "adobe", "--base", tmp_path / "other")
    assert _command(monkeypatch, concept_file, tmp_path / "delta.bin", *argv) == 0
    assert "is used" in capsys.readouterr().out


BAD: list[tuple[tuple[str, ...], str]] = [
    (("CONCEPT", "out.bin", "--to", "soul"), "expected one of concept, adobe"),
    (("CONCEPT", "out.bin"), "--to must be given"),
    (("CONCEPT", "--to", "adobe"), "--output must be given"),
    (("CONCEPT", "out.bin", "--to", "concept"), "concept is a file in .safetensors"),
    (("CONCEPT", "out.bin", "--to", "lycoris"), "lycoris is a file in .safetensors"),
    (("CONCEPT", "text.bin", "--to", "embedding"), "but embedding is a folder of files"),
    (("CONCEPT", "CONCEPT", "--to", "kohya"), "the source itself"),
    (("CONCEPT", "out", "--to", "embedding", "--name", "a/b"), "'a/b' is no name"),
    (("CONCEPT", "o.bin", "--to", "adobe", "--energy", "0.5"), "for formats of low rank"),
    (("CONCEPT", "o.safetensors", "--to", "kohya", "--energy", "3"), "energy is 3"),
    (("CONCEPT", "o.safetensors", "--to", "kohya", "--size", "1e-9"), "1e-09 MB is too little"),
    (("CONCEPT", "o.safetensors", "--to", "kohya", "--size", "-2"), "size is -2 MB"),
    (("CONCEPT", "o.bin", "--to", "adobe", "--class-noun", "dog"), "leave out --class-noun"),
    (("CONCEPT", "full", "--to", "peft"), "full exists; choose another, or give --overwrite"),
    (("CONCEPT", "full.bin", "--to", "adobe", "--overwrite"), "full.bin is a folder"),
    (("CONCEPT", "text.bin/o.bin", "--to", "adobe"), "text.bin is not a folder"),
    (("full/good.bin", "full", "--to", "peft", "--overwrite"), "which holds the source"),
    (("full", "full/good.bin", "--to", "adobe", "--overwrite"), "a file of the source"),
    (("CONCEPT", "o.safetensors", "--to", "kohya", "--rank", "1", "--mass", "1"), "not both"),
    (("CONCEPT", "o.bin", "--to", "adobe", "--base", "none"), "base 'none' cannot be read"),
    (("none.bin", "o.safetensors", "--to", "concept"), "none.bin: no such file"),
    (("text.bin", "o.safetensors", "--to", "kohya"), "text.bin: neither a safetensors file nor"),
    (("pickle.bin", "o.safetensors", "--to", "kohya"), "pickle.bin: not read"),
    (("cut.bin", "o.safetensors", "--to", "kohya"), "cut.bin: a damaged torch file"),
    (("nan.safetensors", "o.safetensors", "--to", "kohya"), "update.weight holds values that are"),
    (("more.safetensors", "o.bin", "--to", "adobe"), "more than keys and values (unet.to_q"),
    (("nameless.safetensors", "o.bin", "--to", "adobe"), "base_name is 3, expected a str"),
    (("foreign.safetensors", "o.bin", "--to", "adobe"), "of no known format"),
    (("shape.bin", "o.safetensors", "--to", "kohya", "--base", "TINY"), "is (3, 3), expected"),
    (("key.bin", "o.safetensors", "--to", "kohya", "--base", "TINY"), "has the key 'soul'"),
    (("good.bin", "o.safetensors", "--to", "kohya", "--base", "TINY"), "--class-noun with 1"),
    (("good.bin", "o.safetensors", "--to", "concept", "--class-noun", "cat"), "give --base"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    argv: tuple[str, ...],
    message: str,
    concept_file: Path,
    tiny_folder: Path,
    tiny_base: Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_bad_files(tiny_base)
    _write_damaged_concepts(concept_file)
    before = sorted(tmp_path.rglob("*"))
    words = [{"CONCEPT": str(concept_file), "TINY": str(tiny_folder)}.get(w, w) for w in argv]
    assert _command(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("sprung").exists()


def _write_bad_files(base: Base) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[Any]]:
            return Path.touch, (Path("sprung"),)

    layout = base.seam.layout
    weights: dict[str, Any] = dict(layout.split(base.seam.stack))
    rows = {"modifier_token": {"<new1>": torch.zeros(layout.text_width)}}
    Path("full.bin").mkdir()
    Path("full").mkdir()
    Path("full/good.bin").write_text("hello")
    Path("text.bin").write_text("hello")
    torch.save({"unet": Trap()}, "pickle.bin")
    torch.save({"unet": weights} | rows, "good.bin")
    Path("cut.bin").write_bytes(Path("good.bin").read_bytes()[:-100])
    torch.save({"unet": weights | {layout.names[0]: torch.zeros(3, 3)}} | rows, "shape.bin")
    torch.save({"unet": weights | {"soul": torch.zeros(3, 3)}} | rows, "key.bin")
    save_file({"soul": torch.zeros(3)}, "foreign.safetensors")


def _write_damaged_concepts(good: Path) -> None:
    nan = torch.full_like(load_file(good)["update.weight"], torch.nan)
    changed_copy(good, Path("nan.safetensors"), {"update.weight": nan})
    changed_copy(good, Path("more.safetensors"), {"unet.to_q.weight": torch.zeros(2, 2)})
    changed_copy(good, Path("nameless.safetensors"), {}, base_name=3)
