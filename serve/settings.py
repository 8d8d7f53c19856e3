"""What whoever runs the service may set, as ``args`` of `serve/config.yaml` or of ``serve run``."""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdcore.command_line.values import Location
from cdcore.user_paths import expanded
from serve.engine.config import EngineConfig

__all__ = ["ServiceSettings"]

_ROOT_VARIABLE = "CUSTOMDIFFUSION_ROOT"
_GIB = 2**30
_SIZE = re.compile("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class ServiceSettings(BaseModel):
    """Settings of one service: one base, one registry, and how large it is."""

    model_config = ConfigDict(extra="forbid")

    base: Location = Field(
        default="pocket",
        description="pocket, sd1.4, sd1.5, sdxl, a diffusers folder, a checkpoint in one file or a "
        "hub id",
    )
    vae: Location | None = Field(
        default=None,
        description="autoencoder in place of the base's own: a folder, one file or a hub id",
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto", description="what the U-Net computes in: bf16 on a GPU, fp32 on a CPU"
    )
    registry: Location = Field(
        default="concepts", description="folder or URI that train.py --registry publishes to"
    )
    examples: bool = Field(
        default=True, description="publish the shipped example concepts of this base"
    )
    keys: Location | None = Field(
        default=None,
        description="file of API keys; without it only this machine's own addresses are answered",
    )
    captions: str | None = Field(
        default=None, description="file of captions that merges leave alone"
    )
    cache: str = Field(
        default="~/.cache/customdiffusion", description="folder of caption statistics"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the base runs"
    )
    slots: int = Field(
        default=8, ge=1, le=256, description="pictures of the base's own size in a batch"
    )
    sizes: list[str] = Field(default=[], description="other sizes that are served, such as 768x512")
    backlog: int = Field(default=20_000, ge=1, description="row-steps that may wait; more is a 429")
    device_gib: float = Field(default=2, gt=0, description="budget for updates on the device")
    prompt_gib: float = Field(
        default=1, gt=0, description="budget for finished prompts on the device"
    )
    host_gib: float = Field(default=8, gt=0, description="budget for concepts in memory")
    disk_gib: float = Field(default=32, gt=0, description="budget for copies of concept files")
    min_replicas: int = Field(default=1, ge=1, description="engines at least")
    max_replicas: int = Field(default=1, ge=1, description="engines at most")
    cpus: float = Field(default=1, ge=0, description="CPUs of one engine")
    gpus: float | None = Field(
        default=None, ge=0, description="GPUs of one engine; unset, 1 where any is"
    )
    prompt_chars: int = Field(default=2000, ge=1, le=100_000, description="longest prompt")
    link_s: int = Field(default=3600, ge=1, description="how long a picture's URL works")
    link_mib: int = Field(default=256, ge=1, description="budget for pictures behind URLs")
    poll_s: float = Field(
        default=2.0, gt=0, le=3600, description="between two looks at the registry"
    )
    drain_s: float = Field(
        default=120.0, gt=0, description="for requests in work when it shuts down"
    )
    start_s: float = Field(default=1800.0, gt=0, description="for an engine to become warm")

    @field_validator("sizes")
    @classmethod
    def _check_sizes(cls, sizes: list[str]) -> list[str]:
        wrong = [size for size in sizes if not _SIZE.fullmatch(size)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no size, expected WIDTHxHEIGHT such as 768x512")
        return sizes

    @property
    def engine_config(self) -> EngineConfig:
        """The size of an engine."""
        matches = [_SIZE.fullmatch(size) for size in self.sizes]
        return EngineConfig(
            slots=self.slots,
            sizes=tuple((int(match[1]), int(match[2])) for match in matches if match),
            backlog=self.backlog,
            prompt_bytes=int(self.prompt_gib * _GIB),
            device_bytes=int(self.device_gib * _GIB),
            host_bytes=int(self.host_gib * _GIB),
            disk_bytes=int(self.disk_gib * _GIB),
        )

    def resolved(self) -> "ServiceSettings":
        """Return the settings with every path made absolute, as other processes need them.

        A relative registry lies where jobs put theirs: in the root for results, if one is set.

        Raises:
            ConfigError: A path begins with no user's home or with no variable.
        """

        def absolute(path: str, root: str = "") -> str:
            return str((Path(root) / expanded(path)).absolute())

        registry = self.registry
        if "://" not in registry:
            registry = absolute(registry, expanded(os.environ.get(_ROOT_VARIABLE, "")))
        changes = {"registry": registry, "cache": absolute(self.cache)}
        for name in ("keys", "captions"):
            path = getattr(self, name)
            if path is not None:
                changes[name] = absolute(path)
        for name in ("base", "vae"):
            given = getattr(self, name)
            if given is not None and os.path.exists(expanded(given)):
                changes[name] = absolute(given)
        return self.model_copy(update=changes)
