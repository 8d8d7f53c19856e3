"""The public face of concepts in a stock diffusers pipeline: ``apply`` and ``remove``."""

from cdcore.concepts.diffusers_pipeline import apply, remove

__all__ = ["apply", "remove"]
