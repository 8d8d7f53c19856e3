"""A random base with a judge, in the shape that benchmarks make for tests."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def judged_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with a random base and a random judge; not to be written to."""
    from benchmarks.common.random_bases import save_random_base
    from cdcore.pocket.networks.judge import Judge
    from cdcore.pocket.networks.tokenizer import build_tokenizer
    from cdcore.pocket.scenes.caption import words

    folder = tmp_path_factory.mktemp("judged")
    save_random_base("tiny", folder)
    tokenizer = build_tokenizer(words())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        Judge.untrained(tokenizer, layers=1).save(folder / "judge")
    return folder
