"""The film with the regions drawn on it, and the words that tell what it is: what viewers without SR show."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from radlet.inference.overlay import ACCENT, INK, PAPER, wrap
from radlet.pacs.outputs.facts import Region, ReportFacts

_LONGEST_EDGE = 1024
_SHORTEST_EDGE = 512
# Told apart by those who do not see red from green as well (Okabe and Ito 2008).
_COLOURS = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
    (255, 255, 255),
)  # fmt: skip


def draw_film(facts: ReportFacts) -> Image.Image:
    """Return the film with regions and the notice burned in."""
    height, width = facts.film.shape
    # A small film is enlarged, or else the notice would not fit.
    scale = min(_LONGEST_EDGE / max(height, width), max(1.0, _SHORTEST_EDGE / min(height, width)))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    picture = Image.fromarray(facts.film).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(picture)
    line = max(2, max(size) // 300)
    font = ImageFont.load_default(max(14, max(size) // 50))
    for number, region in enumerate(facts.regions):
        _draw_region(pen, region, size, _COLOURS[number % len(_COLOURS)], (line, font))
    _burn(pen, facts.report.notice, size, font)
    return picture


def draw_sheet(facts: ReportFacts) -> NDArray[np.uint8]:
    """Return the film as `draw_film` does with the draft below it: (H, W, 3)."""
    film = draw_film(facts)
    size = max(14, film.width // 55)
    font, margin = ImageFont.load_default(size), size
    numbers = {region.number: _COLOURS[order % len(_COLOURS)] for order, region in enumerate(facts.regions)}
    lines: list[tuple[str, tuple[int, int, int]]] = [(facts.report.notice, ACCENT)]
    for number, sentence in enumerate(facts.report.lines, 1):
        colour = numbers.get(number, INK)
        lines += [(row, colour) for row in wrap(f"{number}. {sentence}", font, film.width - 2 * margin)]
    draft = facts.draft
    lines += [(row, INK) for row in wrap(f"{draft.model} {draft.checkpoint_digest[:12]}", font, film.width)]
    step = round(size * 1.4)
    sheet = Image.new("RGB", (film.width, film.height + step * len(lines) + 2 * margin), PAPER)
    sheet.paste(film, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for row, (words, colour) in enumerate(lines):
        pen.text((margin, film.height + margin + step * row), words, colour, font)
    return np.asarray(sheet, np.uint8)


def _draw_region(
    pen: ImageDraw.ImageDraw,
    region: Region,
    size: tuple[int, int],
    colour: tuple[int, int, int],
    style: tuple[int, ImageFont.FreeTypeFont | ImageFont.ImageFont],
) -> None:
    line, font = style
    for outline in region.outlines:
        points = [(float(x * size[0]), float(y * size[1])) for x, y in outline]
        pen.line(points, colour, line, joint="curve")
        left, top = min(points)[0], min(y for _, y in points)
        pen.text((left + line, top + line), str(region.number), colour, font, stroke_width=2, stroke_fill=(0, 0, 0))


def _burn(
    pen: ImageDraw.ImageDraw,
    words: str,
    size: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    left, top, right, bottom = pen.textbbox((0, 0), words, font)
    margin = round((bottom - top) * 0.6)
    box_top = size[1] - (bottom - top) - 2 * margin
    pen.rectangle((0, box_top, right - left + 2 * margin, size[1]), (0, 0, 0))
    pen.text((margin - left, box_top + margin - top), words, ACCENT, font)
