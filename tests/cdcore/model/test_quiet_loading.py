import pytest
from diffusers.utils import logging as diffusers_logging
from huggingface_hub.utils.tqdm import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from cdcore.model.quiet_loading import quiet_loading


@pytest.mark.parametrize("are_off", [False, True])
def test_what_was_shown_before_is_shown_again_and_nothing_else(are_off: bool) -> None:
    (disable_progress_bars if are_off else enable_progress_bars)()
    level = diffusers_logging.get_verbosity()
    try:
        with quiet_loading():
            with quiet_loading():
                pass
            assert are_progress_bars_disabled()
            assert diffusers_logging.get_verbosity() == diffusers_logging.ERROR
        assert are_progress_bars_disabled() == are_off
        assert diffusers_logging.get_verbosity() == level
    finally:
        enable_progress_bars()
