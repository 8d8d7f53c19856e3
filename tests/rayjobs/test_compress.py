from pathlib import Path
from typing import Any

import pytest
import torch

from rayjobs import compress
from tests.rayjobs.command import command


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("CONCEPT", "out.safetensors"), "give one of --rank or --energy or --mass or --size"),
        (("CONCEPT", "out.safetensors", "--rank", "2", "--mass", "0.5"), "2 were given"),
        (("CONCEPT", "out.safetensors", "--rank", "0"), "rank is 0"),
        (("CONCEPT", "out.safetensors", "--energy", "2"), "energy is 2"),
        (("CONCEPT", "out.safetensors", "--size", "0.001"), "all but the update takes"),
        (("CONCEPT", "out.safetensors", "--size", "0.007"), "rank 1 everywhere takes"),
        (("CONCEPT", "out.bin", "--rank", "2"), "expected a name in .safetensors"),
        (("CONCEPT", "CONCEPT", "--rank", "2"), "the source itself"),
        (("CONCEPT", __file__, "--rank", "2"), "expected a name in .safetensors"),
        (("CONCEPT", f"{__file__}/out.safetensors", "--rank", "2"), "is not a folder"),
        (("CONCEPT", "--rank", "2"), "--output must be given"),
        (("none.safetensors", "out.safetensors", "--rank", "2"), "no such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    argv: tuple[str, ...],
    message: str,
    concept_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words: list[Any] = [concept_file if word == "CONCEPT" else word for word in argv]
    before = torch.tensor(list(concept_file.read_bytes()[-64:]))
    assert command(monkeypatch, compress, *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())
    assert torch.equal(torch.tensor(list(concept_file.read_bytes()[-64:])), before)
