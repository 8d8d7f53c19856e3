"""The names of the stages, in their order."""

from typing import Literal

__all__ = ["STAGES", "StageName"]

StageName = Literal["autoencoder", "towers", "unet", "judge"]


STAGES: tuple[StageName, ...] = ("autoencoder", "towers", "unet", "judge")
