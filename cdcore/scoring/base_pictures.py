"""The base's own pictures of the evaluation prompts: the same for every concept of a class.

A single run samples them itself. Runs that differ in their settings alone share them as one file,
which saves each of them a third of its sampling. S seeds, P prompts, pixels in [-1, 1].
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from cdcore.files import replacing
from cdcore.model.base import Base
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from cdcore.scoring.before_after import PROMPTS

__all__ = ["load_base_pictures", "save_base_pictures"]


def save_base_pictures(
    path: Path,
    base: Base,
    nouns: Sequence[str],
    seeds: Sequence[int],
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Sample and store what the base makes of each subject's class noun.

    Args:
        path: The path of the file to write.
        base: To sample.
        nouns: The class noun of each subject of a run.
        seeds: The seeds of the pictures.
        on_step: Called with the sampling steps done and all of them.

    Raises:
        OSError: The file cannot be written.
    """
    requests = [
        Request.of_profile(base, prompt.format(noun), seed)
        for noun in nouns
        for seed in seeds
        for prompt in PROMPTS
    ]
    pixels = sample(base, requests, on_step=on_step)
    shaped = pixels.view(len(nouns), len(seeds), len(PROMPTS), *pixels.shape[1:])
    with replacing(path) as temporary:
        save_file({"pixels": shaped.contiguous()}, temporary)


def load_base_pictures(path: Path) -> Tensor:
    """Return pixels (subjects, S, P, 3, H, W), in the order of `PROMPTS`.

    Raises:
        OSError: The file cannot be read.
    """
    return load_file(path)["pixels"]
