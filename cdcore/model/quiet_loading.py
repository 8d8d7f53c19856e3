"""Models are loaded without a word: a bar for a file of a megabyte tells nobody anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

__all__ = ["quiet_loading"]


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence the bars and the advice of diffusers and transformers while a model is loaded."""
    levels = diffusers_logging.get_verbosity(), transformers_logging.get_verbosity()
    were_bars_shown = not are_progress_bars_disabled()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(levels[0])
        transformers_logging.set_verbosity(levels[1])
        if were_bars_shown:
            diffusers_logging.enable_progress_bar()
            transformers_logging.enable_progress_bar()
