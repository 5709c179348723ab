"""Draw docs/images/input-gate.png: what the input gate says of synthetic films with one fault each.

python tools/input_gate_sheet.py [--out docs/images/input-gate.png]
"""

import argparse
import sys
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from radlet.data.film import Film
from radlet.data.sources.synthetic import SyntheticSource
from radlet.reading.gate import GateSettings, GateVerdict, judge_film

SEED = 3
FILM_PX, TILE_PX, CAPTION_PX, COLUMNS = 320, 200, 74, 6
OUT = Path(__file__).resolve().parents[1] / "docs/images/input-gate.png"

Pixels = NDArray[np.uint8]


def main() -> int:
    """Draw, judge, write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    films = faulty_films()
    tiles = [tile(film, judge_film(Film(np.ascontiguousarray(film)), None, GateSettings())) for film in films]
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * TILE_PX, rows * (TILE_PX + CAPTION_PX)), 255)
    for number, one in enumerate(tiles):
        sheet.paste(one, (number % COLUMNS * TILE_PX, number // COLUMNS * (TILE_PX + CAPTION_PX)))
    sheet.quantize(48).save(given.out, optimize=True)
    print(f"{given.out}: {given.out.stat().st_size // 1000} kB")
    return 0


def faulty_films() -> list[Pixels]:
    """Return a film without fault, and films with one each."""
    source = SyntheticSource(num_patients=2, size_px=FILM_PX, lateral_share=1.0, max_studies_per_patient=1)
    study = next(iter(source.studies(SEED)))
    views = {str(image.view): study.pixels[image.image_id] for image in study.study.images}
    lateral = views.pop("LATERAL")
    [frontal] = views.values()
    top = int(0.27 * FILM_PX)
    return [
        frontal,
        lateral,
        np.rot90(frontal),
        np.rot90(frontal, 2),
        255 - frontal,
        limb(),
        np.full_like(frontal, 70),
        np.hstack([frontal, np.zeros((FILM_PX, 20), np.uint8), frontal]),
        np.rint(110 + frontal * 0.12).astype(np.uint8),
        np.clip((frontal.astype(float) - 75) * 6, 0, 255).astype(np.uint8),
        frontal[top:],
        np.asarray(Image.fromarray(frontal).resize((60, 60))),
    ]


def limb() -> Pixels:
    """Draw a forearm: two bones in soft tissue."""
    image = Image.new("L", (FILM_PX, FILM_PX), 8)
    pen = ImageDraw.Draw(image)
    pen.polygon([(110, 0), (215, 0), (195, FILM_PX), (125, FILM_PX)], fill=90)
    for left, right in ((130, 148), (172, 192)):
        pen.rectangle((left, 0, right, FILM_PX), fill=215)
        pen.rectangle((left + 6, 0, right - 6, FILM_PX), fill=165)
    return np.asarray(image)


def tile(film: Pixels, verdict: GateVerdict) -> Image.Image:
    """Return a film over what the gate says of it."""
    image = Image.new("L", (TILE_PX, TILE_PX + CAPTION_PX), 255)
    shown = Image.fromarray(np.ascontiguousarray(film))
    shown.thumbnail((TILE_PX - 8, TILE_PX - 8))
    image.paste(shown, ((TILE_PX - shown.width) // 2, (TILE_PX - shown.height) // 2))
    said = [f"{reason.action}: {reason.words}" for reason in verdict.reasons] or ["passed"]
    lines = [line for words in said for line in textwrap.wrap(words, 36)]
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for number, line in enumerate(lines[:5]):
        pen.text((5, TILE_PX + 2 + 14 * number), line, fill=0, font=font)
    return image


if __name__ == "__main__":
    sys.exit(main())
