"""The names of the stages, in their order; light, for command lines that only print help."""

from typing import Literal, get_args

__all__ = ["STAGES", "StageName"]

StageName = Literal["autoencoder", "towers", "unet", "judge"]
"""One stage of pretraining."""

STAGES: tuple[StageName, ...] = get_args(StageName)
"""Every stage, in the order in which one builds on the other."""
