"""Tests of `rayjobs.config.sampling`."""

from pathlib import Path
from typing import Any

import pytest

from cdcore.errors import ConfigError
from rayjobs.config.sampling import SampleJob


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": None}, "give either --prompt TEXT or --prompts FILE"),
        ({"prompts": Path("x")}, "give either --prompt TEXT or --prompts FILE"),
        ({"count": 0}, "--count is 0"),
        ({"steps": 0}, "--steps is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"seed": 2**64}, "expected 0 to 2"),
        ({"guidance": 0.5}, "--guidance is 0.5"),
        ({"penalty": 0.0}, "the penalty is 0.0"),
    ],
)
def test_what_no_base_can_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SampleJob(**{"prompt": "a cat"} | changes)
    assert message in str(caught.value)


def test_prompts_come_from_the_flag_or_from_a_file_without_remarks(tmp_path: Path) -> None:
    assert SampleJob(prompt=" a cat").read_prompts() == (" a cat",)
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeff# places\na cat\n\n  a dog \n")
    assert SampleJob(prompts=path).read_prompts() == ("a cat", "a dog")
    path.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="no prompt in it"):
        SampleJob(prompts=path).read_prompts()
