"""Tests of `rayjobs.local.conversion`."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.storage import load_concept
from cdcore.formats.exports.tool_names import TOOLS
from cdcore.formats.known_formats import FORMATS
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES
from rayjobs import convert
from tests.cdcore.formats.cases import make_concept, write
from tests.rayjobs.command import command

READABLE = ["adobe", "compvis", "custom-diffusion"]


SUFFIXES = {"adobe": "delta.bin", "compvis": "delta.ckpt", "custom-diffusion": "folder"}


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
    assert command(monkeypatch, convert, concept_file, there, "--to", name) == 0
    argv = (there, back, "--to", "concept", "--base", tiny_folder, "--class-noun", "cat")
    assert command(monkeypatch, convert, *argv) == 0
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
    assert command(monkeypatch, convert, concept_file, output, "--to", name) == 0
    files = [output] if suffixes else [path for path in output.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_size > 100 for path in files)
    assert not list(tmp_path.rglob(".*"))


def test_the_newest_checkpoint_of_a_folder_is_converted_and_named(
    concept_file: Path,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for step in (500, 1000):
        assert (
            command(monkeypatch, convert, concept_file, logs / f"delta-{step}.bin", "--to", "adobe")
            == 0
        )
    (logs / "delta-500.bin").write_bytes(b"old")
    (logs / "optimizer.bin").write_bytes(b"stray")
    argv = (logs, tmp_path / "back.safetensors", "--to", "concept", "--class-noun", "cat")
    assert command(monkeypatch, convert, *argv, "--base", tiny_folder) == 0
    said = "delta-1000.bin of this folder is read, the newest; not delta-500.bin"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind"),
    [("kohya", "a LoRA"), ("lycoris", "a LyCORIS file"), ("embedding", "an embedding")],
)
def test_what_is_only_written_is_called_what_it_is_in_one_line(
    name: str,
    kind: str,
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = tmp_path / ("made" if name == "embedding" else "made.safetensors")
    assert command(monkeypatch, convert, concept_file, made, "--to", name) == 0
    capsys.readouterr()
    assert command(monkeypatch, convert, made, tmp_path / "x.bin", "--to", "adobe") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{kind}{'' if name != 'embedding' else ' (a textual inversion)'}, which this" in line


def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "made.safetensors"
    output.write_text("kept")
    argv = (concept_file, output, "--to", "lycoris")
    assert command(monkeypatch, convert, *argv) == 2
    assert "exists; choose another, or give --overwrite" in capsys.readouterr().err
    assert output.read_text() == "kept"
    assert command(monkeypatch, convert, *argv, "--overwrite") == 0
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
    assert command(monkeypatch, convert, concept_file, alone, "--to", name) == 0
    assert command(monkeypatch, convert, other_concept_file, shared, "--to", earlier) == 0
    (shared / "notes.md").write_text("kept")
    before = _contents(shared)
    assert command(monkeypatch, convert, concept_file, shared, "--to", name) == 2
    assert _contents(shared) == before
    assert command(monkeypatch, convert, concept_file, shared, "--to", name, "--overwrite") == 0
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
    assert (
        command(monkeypatch, convert, concept_file, large, "--to", "kohya", "--energy", "0.99") == 0
    )
    out = capsys.readouterr().out
    assert "error of the whole stack" in out
    assert "<mycat> is not in such a file; --to embedding writes it" in out
    argv = ("--to", "kohya", "--size", "0.005", "--dtype", "fp32")
    assert command(monkeypatch, convert, concept_file, small, *argv) == 0
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
    assert command(monkeypatch, convert, *argv) == 0
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
    assert command(monkeypatch, convert, concept_file, tmp_path / "delta.bin", *argv) == 0
    assert "is used" in capsys.readouterr().out


@pytest.mark.parametrize("nouns", [("cat",), ("cat", "wooden pot")])
@pytest.mark.parametrize("name", READABLE)
def test_the_tokens_of_another_tool_s_file_can_be_named(
    name: str,
    nouns: tuple[str, ...],
    tiny_folder: Path,
    tiny_base: Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = make_concept(KVBase.of(tiny_base), nouns=nouns)
    source = write(FORMATS[name], made, KVBase.of(tiny_base), tmp_path / "there")[0]
    names = ["<tom>", "<my-pot>"][: len(nouns)]
    output = tmp_path / "mine.safetensors"
    argv = (source, output, "--to", "concept", "--base", tiny_folder, "--class-noun", *nouns)
    assert command(monkeypatch, convert, *argv, "--modifier-token", *names) == 0
    read = load_concept(output)
    assert list(read.tokens) == names
    assert [subject.token for subject in read.subjects] == names
    for row, before in zip(read.tokens.values(), made.tokens.values(), strict=True):
        assert torch.equal(row, before.half().float())
    out = capsys.readouterr().out
    assert f"it teaches '<tom> {nouns[0]}'" in out
    assert "is called <tom> here" in out


def test_the_tokens_of_a_concept_file_can_be_named_too(
    concept_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "mine.safetensors"
    argv = (concept_file, output, "--to", "concept", "--modifier-token", "<tom>")
    assert command(monkeypatch, convert, *argv) == 0
    before, after = load_concept(concept_file), load_concept(output)
    assert after.phrases == ("<tom> cat",)
    assert torch.equal(after.tokens["<tom>"], before.tokens["<mycat>"])


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9 \n%20#?"), "x" * 243])
def test_files_may_have_any_name(
    name: str,
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / f"{name}.safetensors"
    shutil.copy(concept_file, source)
    outputs = {"concept": "c.safetensors", "kohya": "k.safetensors", "adobe": "a.bin", "peft": "p"}
    for to, ending in outputs.items():
        output = tmp_path / f"{name[: 255 - len(ending.encode()) - 1]}{ending}"
        assert command(monkeypatch, convert, source, output, "--to", to) == 0, to
        assert output.exists()
    lines = capsys.readouterr().out.splitlines()
    assert all(str(tmp_path) in line for line in lines if "%20" in line)
