"""Attention drawn over the film it belongs to, as a picture to look at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# From nothing through violet and orange to pale yellow: dark films stay readable below, and grey print stays ordered.
_STOPS = np.array([[20, 8, 60], [110, 25, 110], [205, 60, 75], [250, 145, 30], [252, 245, 170]], np.float32)
_STRONGEST = 0.72
_MARGIN_PX = 14
PAPER, INK, ACCENT = (16, 18, 24), (225, 228, 235), (250, 190, 90)
"""Colours of a sheet with a film on it: its ground, its words, and those that matter most."""
_FAINT = (150, 155, 168)


def blend_attention(film: NDArray[np.uint8], weights: NDArray[np.float32]) -> Image.Image:
    """Return the film (H, W) in grey with the map (rows, cols) over it, both stretched to the film's size.

    The map is stretched between its median and its largest value: the picture shows where, not how much, and half of
    the film stays as it is.
    """
    height, width = film.shape
    low, high = float(np.median(weights)), float(weights.max())
    heat = np.clip((weights - low) / max(high - low, 1e-9), 0, 1)
    smooth = Image.fromarray((heat * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    strength = np.asarray(smooth, np.float32)[..., None] / 255
    position = strength[..., 0] * (len(_STOPS) - 1)
    below = np.minimum(position.astype(int), len(_STOPS) - 2)
    colour = _STOPS[below] + (_STOPS[below + 1] - _STOPS[below]) * (position - below)[..., None]
    alpha = _STRONGEST * np.clip(strength * 1.6 - 0.25, 0, 1)
    grey = np.repeat(film[..., None].astype(np.float32), 3, axis=2)
    return Image.fromarray((grey * (1 - alpha) + colour * alpha).round().astype(np.uint8))


def draw_explanation(
    film: NDArray[np.uint8], weights: NDArray[np.float32], phrase: str, draft: str, notice: str
) -> Image.Image:
    """Return film and overlay side by side, with the draft, the phrase in it, and the notice below."""
    side = 640
    plain = Image.fromarray(film).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    large = np.asarray(plain.convert("L"), np.uint8)
    overlay = blend_attention(large, weights)
    font = ImageFont.load_default(17)
    small = ImageFont.load_default(14)
    width = 2 * side + 3 * _MARGIN_PX
    lines = wrap(draft, font, width - 2 * _MARGIN_PX)
    height = side + 4 * _MARGIN_PX + 24 * (len(lines) + 2)
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(plain, (_MARGIN_PX, _MARGIN_PX))
    sheet.paste(overlay, (side + 2 * _MARGIN_PX, _MARGIN_PX))
    pen = ImageDraw.Draw(sheet)
    top = side + 2 * _MARGIN_PX
    pen.text((_MARGIN_PX, top), f"attention of: {phrase}", ACCENT, font)
    for row, line in enumerate(lines):
        pen.text((_MARGIN_PX, top + 24 * (row + 1)), line, INK, font)
    pen.text((_MARGIN_PX, height - _MARGIN_PX - 16), notice, _FAINT, small)
    return sheet


def wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> list[str]:
    """Break a text into lines that fit; a word that is wider stands alone."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width_px:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]
