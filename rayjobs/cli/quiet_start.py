"""Quiet starts: third-party advice that no user of a job can act on.

A job calls `silence` before it imports anything heavy, because these libraries read their
environment once, on import. What the user has set stays.
"""

import logging
import os
import warnings

__all__ = ["silence"]

_ENVIRONMENT = {
    # Data are not tokenized in parallel here; without this every fork warns.
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The behaviour Ray announces on every start, chosen explicitly.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def silence() -> None:
    """Turn off start-up advice of the libraries, in this process and in those it starts."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It announces that it builds its font cache, or that a user has no home to keep it in.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    logging.getLogger("DeepSpeed").addFilter(_is_news)
    # Inductor recommends TF32, which would change results.
    warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores", category=UserWarning)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record says more than that there is no GPU, which DeepSpeed says on each import."""
    return "Setting accelerator to CPU" not in record.getMessage()
