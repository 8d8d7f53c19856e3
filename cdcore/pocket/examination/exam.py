"""The exam: pictures of a world that nothing was trained on, with captions that say it all."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as count_from

import numpy as np
import torch
from torch import Tensor

from cdcore.pictures.pixels import to_pixels
from cdcore.pocket.drawing.world import picture
from cdcore.pocket.scenes.caption import full_caption
from cdcore.pocket.scenes.scene import KINDS, Scene, sample_scene

__all__ = ["EXAM_SEED", "Exam", "any_scene", "draw_exam", "is_pair", "is_single", "varied_exam"]

EXAM_SEED = 577_215_664
"""The world of the exam; neither a base nor a judge is to be trained on it."""

_VARIED_PAIRS = 3
_VARIED_SINGLES = len(KINDS) - 2 * _VARIED_PAIRS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Exam:
    """Pictures and what they show; no two have the same caption.

    Attributes:
        pixels: (B, 3, 64, 64) float32 in [-1, 1].
        scenes: B of them.
    """

    pixels: Tensor
    scenes: tuple[Scene, ...]

    @property
    def captions(self) -> tuple[str, ...]:
        """The full caption of each picture."""
        return tuple(full_caption(scene) for scene in self.scenes)

    def __len__(self) -> int:
        return len(self.scenes)


def any_scene(scene: Scene) -> bool:
    """Return True: the world as it is."""
    return True


def is_single(scene: Scene) -> bool:
    """Return whether a scene shows one thing."""
    return len(scene.things) == 1


def is_pair(scene: Scene) -> bool:
    """Return whether a scene shows two things of different kinds."""
    return len({thing.kind for thing in scene.things}) == 2


def draw_exam(
    count: int, accepts: Callable[[Scene], bool] = any_scene, *, seed: int = EXAM_SEED
) -> Exam:
    """Draw the first pictures of a world that are accepted and differ in their captions.

    Args:
        count: Pictures, at least 1.
        accepts: Which scenes to take; asked in the order of the world.
        seed: Which world.
    """
    images, scenes, captions = [], [], set[str]()
    for index in count_from():
        scene = sample_scene(random.Random(f"{seed}:{index}"))
        text = full_caption(scene)
        if text in captions or not accepts(scene):
            continue
        captions.add(text)
        scenes.append(scene)
        images.append(np.asarray(picture(seed, index).image))
        if len(scenes) == count:
            break
    return Exam(pixels=to_pixels(torch.from_numpy(np.stack(images))), scenes=tuple(scenes))


def varied_exam(seed: int = EXAM_SEED) -> Exam:
    """Draw eight pictures for the eye: five of one thing, three of two, every kind once."""
    left = {1: _VARIED_SINGLES, 2: _VARIED_PAIRS}
    seen: set[str] = set()

    def accepts(scene: Scene) -> bool:
        kinds = {thing.kind for thing in scene.things}
        if not left[len(scene.things)] or len(kinds) < len(scene.things) or kinds & seen:
            return False
        left[len(scene.things)] -= 1
        seen.update(kinds)
        return True

    return draw_exam(sum(left.values()), accepts, seed=seed)
