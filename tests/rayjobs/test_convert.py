from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cdcore.model.base import Base
from rayjobs import convert
from tests.cdcore.concepts.test_stored_tensors import changed_copy
from tests.rayjobs.command import command

TWO = ("--modifier-token", "<a>", "<b>")
OF_CAT = ("--base", "TINY", "--class-noun", "cat")
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
    (("shape.bin", "o.safetensors", "--to", "kohya", *OF_CAT), "is (3, 3), expected"),
    (("key.bin", "o.safetensors", "--to", "kohya", *OF_CAT), "has the key 'soul'"),
    (("good.bin", "o.safetensors", "--to", "kohya", "--base", "TINY"), "--class-noun with 1"),
    (("good.bin", "o.safetensors", "--to", "concept", "--class-noun", "cat"), "give --base"),
    (("good.bin", "o.bin", "--to", "adobe", "--modifier-token", "mycat"), "in angle brackets"),
    (("good.bin", "o.bin", "--to", "adobe", "--modifier-token", "<A>"), "lower-case letters"),
    (("good.bin", "o.bin", "--to", "adobe", "--modifier-token", "<a>", "<a>"), "<a> twice"),
    (
        (*("good.bin", "o.bin", "--to", "adobe", "--base", "TINY", "--class-noun", "cat"), *TWO),
        "gives 2 names for 1 tokens (<new1>); give one name for each",
    ),
    (("CONCEPT", "o.bin", "--to", "adobe", *TWO), "gives 2 names for 1 tokens (<mycat>)"),
    (("CONCEPT", "x" * 300, "--to", "peft"), "has 300 bytes, and a name on this disk at most 255"),
    (("~no-such-user/x", "o.bin", "--to", "adobe"), "--source: ~no-such-user/x: there is no user"),
    (("CONCEPT", "s3://bucket/o.bin", "--to", "adobe"), "expected a path on this machine"),
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
    assert command(monkeypatch, convert, *words) == 2
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
