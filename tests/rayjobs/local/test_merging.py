"""Tests of `rayjobs.local.merging`."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cdcore.concepts.storage import load_concept, load_merge_inputs
from cdcore.formats.exports.tool_names import TOOLS
from cdcore.merging.caption_bank import written_captions
from cdcore.model.base import Base
from cdcore.model.loading import load_base
from rayjobs import merge
from tests.cdcore.concept_case import write_concept
from tests.cdcore.concepts.test_stored_tensors import changed_copy, with_value
from tests.rayjobs.command import command


@pytest.fixture
def argv(concept_file: Path, other_concept_file: Path, tmp_path: Path) -> tuple[object, ...]:
    files = (concept_file, f"{other_concept_file}:0.8")
    output = ("--output", tmp_path / "pair.safetensors", "--cache", tmp_path / "cache")
    return ("--concepts", *files, *output, "--steps", 2, "--allow-ill-posed")


def test_the_file_holds_the_merged_concept_and_its_report(
    argv: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, merge, *argv, "--pictures", 0) == 0
    concept = load_concept(tmp_path / "pair.safetensors")
    assert concept.name == "pair"
    assert set(concept.tokens) == {"<mycat>", "<mypot>"}
    assert {(parent["name"], parent["weight"]) for parent in concept.parents} == {
        ("mycat", 1.0),
        ("mypot", 0.8),
    }
    report = concept.metrics["merge"]
    assert report["method"] == "ridge"
    assert report["captions"] == len(written_captions(pocket=True).fitted)
    assert not any(name.endswith(".values") for name in load_file(tmp_path / "pair.safetensors"))
    assert load_merge_inputs(tmp_path / "pair.safetensors").sketch is not None
    assert not (tmp_path / "pair.png").exists()


def test_without_pictures_the_base_is_read_only_once_for_all_merges(
    argv: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, merge, *argv, "--pictures", 0) == 0
    monkeypatch.setattr(
        "cdcore.model.loading.load_base", lambda *_, **__: pytest.fail("not needed")
    )
    other = ("--pictures", 0, "--overwrite", "--method", "constrained")
    assert command(monkeypatch, merge, *argv, *other) == 0
    report = load_concept(tmp_path / "pair.safetensors").metrics["merge"]
    assert report["method"] == "constrained"


def test_features_that_a_gpu_had_rounded_are_computed_again_whatever_the_cache_has(
    argv: tuple[object, ...],
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, merge, *argv, "--pictures", 0) == 0
    coarse = load_base(str(tiny_folder))
    coarse.text_encoder.model.bfloat16()
    file = write_concept(coarse, tmp_path / "coarse")
    capsys.readouterr()
    more = ("--concepts", file, *argv[2:], "--pictures", 0, "--overwrite")
    assert command(monkeypatch, merge, *more) == 0
    report = load_concept(tmp_path / "pair.safetensors").metrics["merge"]
    assert None not in [one["exact"] for one in report["concepts"]], "the base was at hand"
    assert "bfloat16" not in capsys.readouterr().out


def test_pictures_that_are_there_are_not_replaced_without_a_word(
    argv: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pair.png").write_text("kept")
    assert command(monkeypatch, merge, *argv) == 2
    assert "pair.png exists; choose another" in capsys.readouterr().err
    assert (tmp_path / "pair.png").read_text() == "kept"
    assert command(monkeypatch, merge, *argv, "--pictures", 0, "--export", "none") == 0
    assert not (tmp_path / "pair-exports").exists()


def test_a_merge_is_exported_for_other_tools(
    argv: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(monkeypatch, merge, *argv, "--pictures", 0, "--export", "comfyui,peft") == 0
    exported = {folder.name: folder for folder in (tmp_path / "pair-exports").iterdir()}
    assert set(exported) == {"comfyui", "peft"}
    assert all("pair" in (folder / "USE.md").read_text() for folder in exported.values())


def test_on_any_base_but_a_pocket_base_exports_are_made_with_or_without_a_cache(
    argv: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Base, "is_pocket", False)
    captions, exports = tmp_path / "captions.txt", tmp_path / "pair-exports"
    captions.write_text("\n".join(written_captions(pocket=True).held_out[:120]))
    argv = (*argv, "--pictures", 0, "--captions", captions)
    assert command(monkeypatch, merge, *argv) == 0
    made = _texts(exports)
    assert {path.parts[0] for path in made} == set(TOOLS)
    shutil.rmtree(exports)
    monkeypatch.setattr(
        "cdcore.model.loading.load_base", lambda *_, **__: pytest.fail("not needed")
    )
    assert command(monkeypatch, merge, *argv, "--overwrite") == 0
    assert _texts(exports) == made


def _texts(folder: Path) -> dict[Path, str]:
    """The files of exports, with the text of each that is no tensor file."""
    return {
        path.relative_to(folder): "" if path.suffix == ".safetensors" else path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_merges_share_a_folder_and_replace_only_their_own_exports_when_asked_to(
    argv: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    of_a_run = tmp_path / "exports" / "peft" / "USE.md"
    of_a_run.parent.mkdir(parents=True)
    of_a_run.write_text("of a training run")
    argv = (*argv, "--pictures", 0, "--export", "comfyui,peft")
    exports, other = tmp_path / "pair-exports", tmp_path / "other-exports"
    assert command(monkeypatch, merge, *argv) == 0
    before = _texts(exports)
    assert command(monkeypatch, merge, *argv, "--output", tmp_path / "other.safetensors") == 0
    assert _texts(exports) == before
    assert of_a_run.read_text() == "of a training run"

    (tmp_path / "other.safetensors").unlink()
    again = (*argv, "--output", tmp_path / "other.safetensors")
    assert command(monkeypatch, merge, *again) == 2
    assert "other-exports exists; choose another" in capsys.readouterr().err
    assert not (tmp_path / "other.safetensors").exists()
    assert command(monkeypatch, merge, *again, "--overwrite", "--export", "peft") == 0
    assert {path.name for path in other.iterdir()} == {"peft"}
    assert command(monkeypatch, merge, *again, "--overwrite", "--export", "none") == 0
    assert not list(other.iterdir())


def test_a_masked_sum_is_shown_but_no_file_can_hold_it(
    argv: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, merge, *argv, "--method", "masked") == 0
    assert "no concept file" in capsys.readouterr().out
    assert (tmp_path / "pair.png").exists()
    assert not (tmp_path / "pair.safetensors").exists()


def test_captions_of_the_user_are_taken(
    argv: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("\n".join(written_captions(pocket=True).held_out[:120]))
    assert command(monkeypatch, merge, *argv, "--pictures", 0, "--captions", captions) == 0
    assert load_concept(tmp_path / "pair.safetensors").metrics["merge"]["captions"] == 100


@pytest.mark.parametrize("name", ["constraint.values", "sketch.features", "token.0"])
def test_a_concept_with_values_that_are_no_numbers_is_refused_and_nothing_is_written(
    name: str,
    argv: tuple[object, ...],
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nan = with_value(load_file(concept_file)[name], torch.nan)
    source = changed_copy(concept_file, tmp_path / "damaged.safetensors", {name: nan})
    assert command(monkeypatch, merge, *argv, "--concepts", source, "--pictures", 0) == 2
    assert capsys.readouterr().err == (
        f"error: {source}: {name} holds values that are no numbers; train the concept again with a "
        "smaller learning rate\n"
    )
    assert list(tmp_path.iterdir()) == [source]


def test_a_concept_without_subjects_is_refused_and_nothing_is_written(
    argv: tuple[object, ...],
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = changed_copy(concept_file, tmp_path / "damaged.safetensors", {}, subjects=[])
    assert command(monkeypatch, merge, *argv, "--concepts", source, "--pictures", 0) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {source}: the concept file is damaged: subjects is [], expected")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_an_ill_posed_merge_is_refused_in_one_line(
    argv: tuple[object, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    # The tiny base's text features are random: a strong penalty leaves nothing of either concept.
    strict = [word for word in argv if word != "--allow-ill-posed"]
    extra = ("--method", "ridge", "--penalty", "1e6", "--pictures", "0")
    assert command(monkeypatch, merge, *strict, *extra) == 2
    err = capsys.readouterr().err
    assert "ill-posed merge" in err
    assert "a penalty below" in err
    assert not (tmp_path / "pair.safetensors").exists()


def test_a_prompt_of_all_concepts_that_is_too_long_for_the_base_is_told(
    tiny_base: Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [write_concept(tiny_base, tmp_path, name=f"cat{n}", seed=n) for n in range(9)]
    argv = ("--output", tmp_path / "all.safetensors", "--cache", tmp_path / "cache", "--steps", 1)
    settings = ("--allow-ill-posed", "--method", "sum", "--export", "none")
    assert command(monkeypatch, merge, "--concepts", *files, *argv, *settings) == 0
    (note,) = [line for line in capsys.readouterr().out.splitlines() if "is cut off" in line]
    assert "and with it <cat8>" in note


def test_captions_that_are_longer_than_the_base_reads_are_counted(
    argv: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    captions = [*written_captions(pocket=True).fitted[:200], *(f"a cat {n} " * 30 for n in "123")]
    (tmp_path / "captions.txt").write_text("\n".join(captions))
    base = load_concept(Path(str(argv[1]))).base_name
    own = ("--captions", tmp_path / "captions.txt", "--pictures", 0, "--base", base)
    assert command(monkeypatch, merge, *argv, *own) == 0
    assert "note: 3 of 203 captions are longer than this base reads" in capsys.readouterr().out
