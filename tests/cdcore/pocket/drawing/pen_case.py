"""A blank sheet and a plain look, for the tests of what draws figures."""

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdcore.pocket.drawing.canvas import Coat, Pen, striped
from cdcore.pocket.drawing.figure import Look, Spots
from cdcore.pocket.drawing.palette import RGB

__all__ = ["BLUE", "RED", "SIDE", "Draw", "blank_pen", "drawn", "make_look"]

RED, BLUE = (200, 0, 0), (0, 0, 200)
_SHEET = (10, 200, 200)
"""A colour that nothing is drawn in."""
SIDE = 192
_SCALE = 100

Draw = Callable[[Pen, Look], Spots]


def blank_pen() -> Pen:
    """A pen on a plain sheet whose local unit is 100 pixels, foot at the lower middle."""
    return Pen(Image.new("RGB", (SIDE, SIDE), _SHEET), x=SIDE / 2, y=170, scale=_SCALE)


def make_look(
    *, color: RGB = RED, coat: bool = False, details: tuple[str, ...] = (), seed: int = 0
) -> Look:
    """A look in one colour; a coat is blue stripes."""
    rng = random.Random(seed)
    marks = striped(upright=True) if coat else None
    return Look(
        color=color,
        coat=None if marks is None else Coat(BLUE, marks),
        details=details,
        rng=rng,
        backdrop=Image.new("RGB", (SIDE, SIDE), _SHEET),
    )


def drawn(pen: Pen) -> npt.NDArray[np.bool_]:
    """(H, W), whether something was drawn on each pixel."""
    changed: npt.NDArray[np.bool_] = (np.asarray(pen.image) != _SHEET).any(axis=-1)
    return changed
