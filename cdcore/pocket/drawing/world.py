"""The pocket world: an endless, indexed sequence of captioned pictures."""

import random
from dataclasses import dataclass

from PIL import Image

from cdcore.pocket.drawing.render import render
from cdcore.pocket.scenes.caption import caption
from cdcore.pocket.scenes.scene import Scene, sample_scene


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A captioned picture.

    Attributes:
        image: RGB, 64 x 64 pixels unless asked otherwise.
        caption: Lower-case words that describe the picture.
        scene: What the picture shows.
    """

    image: Image.Image
    caption: str
    scene: Scene


def picture(seed: int, index: int, size: int = 64) -> Picture:
    """Returns one picture of a world.

    Args:
        seed: Which world.
        index: Which picture of the world, at least 0.
        size: The side of the picture in pixels, positive.

    Returns:
        A picture that depends on nothing but the arguments.

    Raises:
        ValueError: If the index is negative or the size is not positive.
    """
    if index < 0:
        raise ValueError(f"index must be at least 0, not {index}")
    rng = random.Random(f"{seed}:{index}")
    scene = sample_scene(rng)
    text = caption(scene, rng)
    return Picture(image=render(scene, rng, size), caption=text, scene=scene)
