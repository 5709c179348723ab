"""Print how well burned-in text is found, by size and contrast of what is planted, and how often other films are held.

    python bench/burned_in_text.py [../shared/data] [--films N]

Names, dates and record numbers are drawn with several heights of capitals, contrasts and places on real films (256 px
and up to 1024 px) and on synthetic ones. Not planted films are counted by set: what is held there is a false alarm, or
text that was on the film; to tell which takes a person.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radlet.core.errors import DataError
from radlet.data.burned_in import check_burned_in
from radlet.data.film import Film
from radlet.data.images import read_film
from radlet.data.refusal import QuarantineError
from radlet.data.sources.synthetic import SyntheticSource

TEXTS = {
    "name": ("QUEZALDA, HORTENSIA", "Wimpole^Ann"),
    "date": ("1937-04-12", "12/04/2021"),
    "mrn": ("MRN 7731905", "4082312"),
}
CAPITALS_PX = {256: (6, 8, 10, 14), 1024: (7, 10, 14, 20, 28)}
CONTRASTS = {"white on black box": None, "white": 255, "60 grey levels": 60, "30 grey levels": 30}
PLACES = ((0.03, 0.03), (0.45, 0.9), (0.3, 0.5))


def plant(film, text, capitals_px, contrast, place):
    """Draw a line of text whose capitals are so many pixels high; a contrast of None draws a black box under it."""
    image = Image.fromarray(film)
    font = ImageFont.load_default(round(capitals_px / 0.72))
    left, top = int(place[0] * image.width), int(place[1] * image.height)
    pen = ImageDraw.Draw(image)
    box = pen.textbbox((left, top), text, font=font)
    shift = min(0, image.width - 2 - box[2])
    left, box = left + shift, (box[0] + shift, box[1], box[2] + shift, box[3])
    under = float(np.mean(np.asarray(image)[box[1] : box[3], max(box[0], 0) : box[2]]))
    if contrast is None:
        pen.rectangle((box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2), fill=0)
    value = 255 if contrast in (None, 255) else int(under + contrast if under + contrast <= 255 else under - contrast)
    pen.text((left, top), text, font=font, fill=value)
    return np.asarray(image)


def held(film):
    try:
        check_burned_in(Film(film))
    except QuarantineError:
        return True
    return False


def jsonl_films(folder, name, num):
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    step = max(len(rows) // num, 1)
    for row in rows[::step][:num]:
        yield read_film(folder / row["image"]).pixels


def dicom_films(folder):
    for path in sorted(folder.glob("*.dcm")):
        try:
            yield read_film(path).pixels
        except DataError:
            continue


def synthetic_films(num, size_px):
    for raw in SyntheticSource(num_patients=num, size_px=size_px, max_studies_per_patient=1, lateral_share=0).studies(
        5
    ):
        yield from raw.pixels.values()


def measure_recall(films, size):
    found, total = defaultdict(int), defaultdict(int)
    for index, film in enumerate(films):
        for capitals_px in CAPITALS_PX[size]:
            for contrast, value in CONTRASTS.items():
                for number, (kind, texts) in enumerate(TEXTS.items()):
                    planted = plant(film, texts[index % 2], capitals_px, value, PLACES[(index + number) % len(PLACES)])
                    hit = held(planted)
                    for key in ((capitals_px, contrast), (capitals_px, kind)):
                        found[key] += hit
                        total[key] += 1
    for key in total:
        print(f"  capitals {key[0]:>2} px  {key[1]:<20} {found[key]:>3} of {total[key]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--films", type=int, default=100, help="not planted films of each set")
    parser.add_argument("--planted", type=int, default=6, help="films of each size that are planted on")
    arguments = parser.parse_args()
    sets = {"synthetic 512 px": synthetic_films(min(arguments.films, 20), 512)}
    if arguments.data.is_dir():
        data = arguments.data
        sets |= {f"{name} {size}": jsonl_films(data / name, "train", arguments.films)
                 for name, size in (("iu_xray", "256 px"), ("nih", "384 px"), ("covid", "512 px"))}  # fmt: skip
        sets["hires_samples 1024 px"] = map(read_pixels, sorted((data / "iu_xray" / "hires_samples").glob("*.*")))
        sets["dicom native"] = dicom_films(data / "dicom")
    for name, films in sets.items():
        begun, verdicts = time.perf_counter(), [held(film) for film in films]
        seconds = (time.perf_counter() - begun) / max(len(verdicts), 1)
        print(f"{name}: {sum(verdicts)} of {len(verdicts)} not planted films held, {seconds:.2f} s a film")
    if not arguments.data.is_dir():
        print(f"no real data at {arguments.data}: planted on synthetic films only")
        small, large = synthetic_films(arguments.planted, 256), synthetic_films(arguments.planted, 1024)
    else:
        clean = (film for film in jsonl_films(arguments.data / "iu_xray", "train", 60) if not held(film))
        small = [film for film, _ in zip(clean, range(arguments.planted), strict=False)]
        large = [
            f for f in map(read_pixels, sorted((arguments.data / "iu_xray/hires_samples").glob("*.*"))) if not held(f)
        ]
    for size, films in ((256, small), (1024, large)):
        print(f"planted on films of {size} px:")
        measure_recall(films, size)


def read_pixels(path):
    return read_film(path).pixels


if __name__ == "__main__":
    main()
