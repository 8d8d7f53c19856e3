"""The picture styles: what turns a plain rendering into a painting or a sketch."""

import random

from PIL import Image, ImageFilter

from cdcore.pocket.drawing.palette import PAPER

_RAG = (250, 243, 228)


def apply_style(image: Image.Image, style: str, rng: random.Random) -> Image.Image:
    """Finishes a picture in its style.

    Args:
        image: An RGB picture, not changed; for a sketch its things are already pencilled.
        style: One of the styles of a scene.
        rng: The source of all draws.

    Returns:
        An RGB image of the same size; the given one unless the style needs a filter.
    """
    return _watercolor(image, rng) if style == "watercolor" else image


def faded(image: Image.Image) -> Image.Image:
    """Returns a background as a pencil sketch shows it: pale and nearly grey."""
    grey = image.convert("L").convert("RGB")
    tinted = Image.blend(image, grey, 0.4)
    return Image.blend(Image.new("RGB", image.size, PAPER), tinted, 0.34)


def _watercolor(image: Image.Image, rng: random.Random) -> Image.Image:
    soft = image.filter(ImageFilter.GaussianBlur(image.width / 110))
    washed = Image.blend(soft, Image.new("RGB", image.size, _RAG), 0.3)
    grain = Image.frombytes("L", (8, 8), bytes(rng.randint(214, 255) for _ in range(64)))
    blotches = grain.resize(image.size, Image.Resampling.BICUBIC)
    paper = Image.new("RGB", image.size, _RAG)
    # Pigment thins out where the blotches are dark, and ends before the rim of the sheet.
    tinted = Image.composite(washed, paper, blotches)
    rim = Image.new("L", image.size, 0)
    inset = max(1, image.width // 20)
    rim.paste(255, (inset, inset, image.width - inset, image.height - inset))
    return Image.composite(tinted, paper, rim.filter(ImageFilter.BoxBlur(inset * 0.5)))
