"""A labelled grid of pictures for the eye: its cells, its headers and its paper.

B pictures of a row, S pixels along a side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cdcore.pictures.pixels import to_image

__all__ = ["grid"]


_LEAST_CELL_PX = 192
_FONT_SHARE = 13
"""A cell is this many times as wide as its text is high."""
_LEAST_FONT_PX, _MOST_FONT_PX = 14, 36
_MOST_LABEL_LINES = 6
_CUT = "..."
_INK, _PAPER = (40, 40, 40), (255, 255, 255)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where everything stands, in pixels; the texts are wrapped already."""

    cell: int
    gap: int
    margin: int
    left: int
    top: int
    headers: tuple[str, ...]
    sides: tuple[str, ...]
    font: _Font

    def at(self, x: int, y: int) -> tuple[int, int]:
        """Return the upper left corner of a cell."""
        step = self.cell + self.gap
        return self.left + x * step, self.top + y * step


def grid(
    rows: Sequence[Tensor | Sequence[Image.Image]],
    *,
    columns: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Image.Image:
    """Lay out pictures of one size in rows, small ones magnified by a whole factor.

    Args:
        rows: Pixels (B, 3, S, S) in [-1, 1], or images; a row may be shorter than the others.
        columns: Header of each column, such as a prompt; empty for no headers.
        labels: Label of each row, such as "base"; empty for none.

    Returns:
        An RGB image on white.

    Raises:
        ValueError: There is no picture, or there are more headers or labels than columns or rows.
    """
    images = [
        [to_image(pixels) for pixels in row] if isinstance(row, Tensor) else list(row)
        for row in rows
    ]
    width = max((len(row) for row in images), default=0)
    if width == 0 or len(columns) > width or len(labels) > len(images):
        raise ValueError(
            f"{len(images)} rows of at most {width} pictures with {len(columns)} headers and "
            f"{len(labels)} labels; expected pictures, and no more headers than columns or labels "
            "than rows"
        )
    layout = _layout(_cell(next(row[0] for row in images if row)), columns, labels)
    right, bottom = layout.at(width, len(images))
    margin = layout.margin - layout.gap
    paper = Image.new("RGB", (right + margin, bottom + margin), _PAPER)
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            paper.paste(_magnified(image, layout.cell), layout.at(x, y))
    _write_labels(paper, layout)
    return paper


def _cell(image: Image.Image) -> int:
    """Return the side of a cell in pixels: a whole multiple of the picture's longer side."""
    side = max(image.size)
    return side * -(-_LEAST_CELL_PX // side)


def _layout(cell: int, columns: Sequence[str], labels: Sequence[str]) -> _Layout:
    font = ImageFont.load_default(
        min(max(round(cell / _FONT_SHARE), _LEAST_FONT_PX), _MOST_FONT_PX)
    )
    headers = tuple(_wrapped(text, cell, font) for text in columns)
    sides = tuple(_wrapped(text, cell, font) for text in labels)
    # Side by side, pictures need only a hairline; text needs air.
    gap, margin = cell // 24, cell // 12
    return _Layout(
        cell=cell,
        gap=gap,
        margin=margin,
        left=margin + (_width(sides, font) + margin if any(sides) else 0),
        top=margin + (_height(headers, font) + gap if any(headers) else 0),
        headers=headers,
        sides=sides,
        font=font,
    )


def _write_labels(paper: Image.Image, layout: _Layout) -> None:
    draw = ImageDraw.Draw(paper)
    middle = layout.cell // 2
    for x, lines in enumerate(layout.headers):
        left, top = layout.at(x, 0)
        # Headers end just above the pictures, however many lines the others take.
        at = left + middle, top - layout.gap
        draw.multiline_text(at, lines, _INK, layout.font, anchor="md", align="center")
    for y, lines in enumerate(layout.sides):
        left, top = layout.at(0, y)
        at = left - layout.margin, top + middle
        draw.multiline_text(at, lines, _INK, layout.font, anchor="rm", align="right")


def _magnified(image: Image.Image, cell: int) -> Image.Image:
    factor = cell // max(image.size)
    if factor <= 1:
        return image
    return image.resize(
        (image.width * factor, image.height * factor), resample=Image.Resampling.LANCZOS
    )


def _wrapped(text: str, width_px: int, font: _Font) -> str:
    """Break ``text`` into lines of at most ``width_px``, the last one ended by dots if cut."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width_px:
                lines.append(line)
                longer = word
            line = longer
            while (fitting := _fitting(line, width_px, font)) < len(line):
                lines.append(line[:fitting])
                line = line[fitting:]
        lines.append(line)
    if len(lines) > _MOST_LABEL_LINES:
        last = lines[_MOST_LABEL_LINES - 1]
        room_px = width_px - round(font.getlength(_CUT))
        lines[_MOST_LABEL_LINES - 1 :] = [last[: _fitting(last, room_px, font)] + _CUT]
    return "\n".join(lines)


def _fitting(word: str, width_px: int, font: _Font) -> int:
    """Return how many characters of ``word`` fit, at least one."""
    count = len(word)
    while count > 1 and font.getlength(word[:count]) > width_px:
        count -= 1
    return count


def _width(texts: Sequence[str], font: _Font) -> int:
    return max(round(font.getlength(line)) for text in texts for line in text.split("\n"))


def _height(texts: Sequence[str], font: _Font) -> int:
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    return max(round(draw.multiline_textbbox((0, 0), text, font=font)[3]) for text in texts)
