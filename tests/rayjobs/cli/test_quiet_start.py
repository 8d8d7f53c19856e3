import logging
import os
import warnings

import pytest

from rayjobs.cli.quiet_start import silence


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_what_the_user_has_set_stays_and_the_rest_is_set() -> None:
    os.environ.pop("TRANSFORMERS_VERBOSITY", None)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    with warnings.catch_warnings():
        silence()
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_only_the_named_warning_is_silenced() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silence()
        warnings.warn("TensorFloat32 tensor cores for float32 are not enabled", stacklevel=1)
        with pytest.raises(UserWarning, match="another"):
            warnings.warn("another", stacklevel=1)
    assert logging.getLogger("matplotlib.font_manager").getEffectiveLevel() == logging.ERROR


def test_deepspeed_is_not_told_twice_that_there_is_no_gpu() -> None:
    with warnings.catch_warnings():
        silence()
    logger = logging.getLogger("DeepSpeed")
    kept = [
        bool(logger.filter(logger.makeRecord("DeepSpeed", 30, "", 0, text, (), None)))
        for text in ("Setting accelerator to CPU. If you have GPU", "something else")
    ]
    assert kept == [False, True]
