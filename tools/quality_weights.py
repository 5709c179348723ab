"""Train the classifiers of `radlet.data.quality.appearance` on synthetic films and write its ``weights.json``.

Everything that is learnt from is drawn here: synthetic chest films, posed and exposed in many ways, and
counter-examples (limbs, slices, sectors of ultrasound, skulls, bellies, graphs, clouds, parts of chests). No real film
takes part.

    python tools/quality_weights.py [--patients 1200] [--out src/radlet/data/quality/weights.json]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from radlet.core.records import ImageRecord
from radlet.data.quality.appearance import SIDES, VIEWS
from radlet.data.quality.reduced import SIDE, reduce_film
from radlet.data.sources.synthetic import SyntheticSource, painting
from radlet.data.sources.synthetic.anatomy import posed as standing
from radlet.data.sources.synthetic.canvas import canvas
from radlet.data.sources.synthetic.findings import weights
from radlet.data.sources.synthetic.frontal import Frontal
from radlet.data.sources.synthetic.patients import Population, plan_patient
from radlet.data.sources.synthetic.projection import STYLES, expose, finish

SEED = 7
FILM_PX = 192
POSES = 4
"""Upright poses of each film; each film also stands turned once a pose of every second one."""
COUNTER_EXAMPLES = 6000
CUTS = 12
"""Frames in which each film is shown to tell whether its lungs are cut off."""
LEAST_CUT = 0.1
"""Share of the lungs' height or width that a frame has to lose to be learnt from as cut; with less it says nothing."""
STRENGTH = {"view": 0.003, "inverted": 0.001, "cropped": 0.0005}
"""Inverse regularisation of each logistic regression."""
OUT = Path(__file__).resolve().parents[1] / "src/radlet/data/quality/weights.json"

Rng = np.random.Generator
Grey = NDArray[np.float64]
Pair = Sequence[float] | NDArray[np.float64]


def main() -> int:
    """Draw, train, write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    rng = np.random.default_rng(SEED)
    films = synthetic_films(given.patients)
    classes, features = view_rows(films, rng)
    chests = features[np.isin(classes, VIEWS[:5])][:, 512:]
    margins, cut_features = cut_rows(given.patients, np.random.default_rng(SEED + 1))
    tables = {
        "view": train_view(features, classes),
        "inverted": train_inverted(chests),
        "cropped": train_cropped(cut_features, margins),
    }
    provenance = {
        "trained_on": "films of radlet's source 'synthetic' and drawn counter-examples; no real film",
        "command": f"python tools/quality_weights.py --patients {given.patients}",
        "seed": SEED,
        "films": len(films),
        "rows": {"view": len(classes), "inverted": 2 * len(chests), "cropped": len(margins)},
        "inverse_regularisation": STRENGTH,
    }
    text = json.dumps({"provenance": provenance, "classifiers": tables}, separators=(",", ":"))
    given.out.write_text(text.replace('"classifiers"', '\n"classifiers"') + "\n", encoding="utf-8")
    print(f"{len(classes)} and {len(margins)} rows; {given.out}")
    return 0


def synthetic_films(num_patients: int) -> list[tuple[str, Grey]]:
    """Return (view, film in 0..1) of two sites, every PA study with its lateral."""
    source = SyntheticSource(
        num_patients=num_patients,
        size_px=FILM_PX,
        lateral_share=1.0,
        ap_share=0.25,
        max_studies_per_patient=1,
        site_shift=True,
    )
    return [
        (str(image.view), study.pixels[image.image_id] / 255)
        for study in source.studies(SEED)
        for image in study.study.images
    ]


def view_rows(films: Sequence[tuple[str, Grey]], rng: Rng) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """Return the classes and features of posed films and counter-examples."""
    rows = []
    for view, film in films:
        name = "lateral" if view == "LATERAL" else "frontal"
        for number in range(POSES):
            rows.append((name, features_of(posed(film, view, rng))))
            if number % 2:
                quarter = int(rng.integers(1, 4))
                rows.append((f"turned_{90 * quarter}", features_of(posed(film, view, rng, quarter))))
    for _ in range(COUNTER_EXAMPLES):
        if rng.random() < 0.25:
            _, film = films[int(rng.integers(len(films)))]
            other = part_of(film, rng)
        else:
            other = COUNTERS[rng.integers(len(COUNTERS))](rng)
        rows.append(("other", features_of(np.clip(framed(toned(other, rng), rng), 0, 1))))
    return np.array([name for name, _ in rows]), np.stack([row for _, row in rows])


def cut_rows(num_patients: int, rng: Rng) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the margins around the lungs (N, 4), see `margins_of`, and the features of frontal films so framed."""
    population = Population("A", 0.7, weights({}, long_tail=False), {"PA": 0.7, "AP": 0.3}, 0.0, tuple(STYLES), 1)
    rows = []
    for number in range(num_patients):
        film, lungs = film_with_lungs(number, population)
        for _ in range(CUTS):
            margins = margins_of(rng)
            rows.append((margins, features_of(framed_at(film, lungs, margins, rng))))
    return np.stack([margins for margins, _ in rows]), np.stack([row for _, row in rows])


def film_with_lungs(number: int, population: Population) -> tuple[Grey, NDArray[np.bool_]]:
    """Draw a frontal film in 0..1 and where its lungs are."""
    patient = plan_patient(SEED, number, (population,))
    exam = patient.exams[0]
    rng, grid, style, view = np.random.default_rng(exam.seed), canvas(FILM_PX), STYLES[exam.style], exam.views[0]
    body = painting.reshaped(standing(patient.anatomy, view, exam.inspiration), exam.lesions)
    scene = Frontal(grid, body, rng)
    lungs = scene.outline > 0.5
    order = list(painting.PAINTERS)
    for lesion in sorted(exam.lesions, key=lambda lesion: order.index(lesion.kind)):
        painting.paint(scene, lesion)
    return finish(expose(scene.attenuation(), grid, style, rng, 1.0), view, style, rng) / 255, lungs


def margins_of(rng: Rng) -> NDArray[np.float64]:
    """Return how far the frame stands off the lungs, in shares of their height or width; below 0 it cuts them.

    In the order of `appearance.SIDES`. Four of nine frames are whole.
    """
    margins = rng.uniform((0.02, 0.03, 0.02, 0.02), (0.28, 0.45, 0.25, 0.25))
    if rng.random() < 0.55:
        sides = rng.choice(4, size=1 if rng.random() < 0.8 else 2, replace=False)
        margins[sides] = -rng.uniform(0.03, 0.5, len(sides))
    return margins


def framed_at(film: Grey, lungs: NDArray[np.bool_], margins: NDArray[np.float64], rng: Rng) -> Grey:
    """Return the film, tilted and exposed anew, in a frame that stands so far off its lungs."""
    turn, shear = np.deg2rad(rng.normal(0, 4)), rng.normal(0, 0.04)
    tilt = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, 0], [shear, 1]])
    inside = np.argwhere(lungs)
    centre = inside.mean(axis=0)
    tilted = (inside - centre) @ tilt.T
    low, high = tilted.min(axis=0), tilted.max(axis=0)
    first, last = low - margins[0::2] * (high - low), high + margins[1::2] * (high - low)
    steps = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = (start + steps * (end - start) for start, end in zip(first, last, strict=True))
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1) @ np.linalg.inv(tilt).T + centre
    smooth = ndimage.gaussian_filter(film, 0.5)
    mode = "nearest" if rng.random() < 0.7 else "constant"
    exposed = toned(ndimage.map_coordinates(smooth, places.transpose(2, 0, 1), order=1, mode=mode), rng)
    if rng.random() < 0.3:  # air that is not quite black
        exposed = np.maximum(exposed, rng.uniform(0.05, 0.35))
    # A shutter over the edge of lung cuts it as well: most cut films go without.
    return np.clip(framed(exposed, rng) if margins.min() > 0 or rng.random() < 0.3 else exposed, 0, 1)


def train(features: NDArray[np.float32], targets: NDArray[Any], strength: float) -> dict[str, Any]:
    """Return the weights and biases of a logistic regression."""
    model = LogisticRegression(C=strength, max_iter=600).fit(features, targets)
    return {"weights": rounded(model.coef_), "bias": rounded(model.intercept_)}


def train_view(features: NDArray[np.float32], classes: NDArray[np.str_]) -> dict[str, Any]:
    """Return one row of weights a class, in the order of `VIEWS`."""
    return train(features, np.array([VIEWS.index(name) for name in classes]), STRENGTH["view"])


def train_cropped(features: NDArray[np.float32], margins: NDArray[np.float64]) -> dict[str, Any]:
    """Return one row of weights a side, for features as they are, learnt from features of one spread."""
    spread = features.std(axis=0) + 0.02
    tables = []
    for side in range(len(SIDES)):
        told = (margins[:, side] > 0) | (margins[:, side] < -LEAST_CUT)
        model = LogisticRegression(C=STRENGTH["cropped"], max_iter=600)
        tables.append(model.fit(features[told] / spread, margins[told, side] < 0))
    return {
        "weights": rounded(np.concatenate([model.coef_ for model in tables]) / spread),
        "bias": rounded(np.concatenate([model.intercept_ for model in tables])),
    }


def train_inverted(brightness: NDArray[np.float32]) -> dict[str, Any]:
    """Return weights without bias: a negative has the features of the film with the opposite sign."""
    both = np.concatenate([brightness, -brightness])
    targets = np.arange(len(both)) >= len(brightness)
    model = LogisticRegression(C=STRENGTH["inverted"], fit_intercept=False, max_iter=600).fit(both, targets)
    return {"weights": rounded(model.coef_), "bias": [0.0]}


def rounded(values: NDArray[np.float64]) -> Any:
    """Return four significant digits, which is what the features bear."""
    return json.loads(json.dumps(values.tolist()), parse_float=lambda text: float(f"{float(text):.4g}"))


def features_of(film: Grey) -> NDArray[np.float32]:
    """Return the features by the very path on which the checks read them."""
    pixels = np.rint(255 * np.clip(film, 0, 1)).astype(np.uint8)
    return reduce_film(ImageRecord(image_id="", path=""), pixels).features


def posed(film: Grey, view: str, rng: Rng, quarters: int = 0) -> Grey:
    """Return the film as another hand would have taken it: tilted, zoomed, squeezed, moved, exposed and framed."""
    lateral = view == "LATERAL"
    if lateral and rng.random() < 0.35:
        film = film[:, ::-1]
    turn = np.deg2rad(rng.normal(0, 7 if lateral else 4))
    shear, factor = rng.normal(0, 0.12 if lateral else 0.05), np.exp(rng.uniform(-0.1, 0.35))
    squeeze = np.exp(rng.normal(0, 0.06))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[1, 0], [shear, 1]])
    matrix = matrix @ np.diag([1 / (factor * squeeze), squeeze / factor]) * film.shape[0] / SIDE
    centre = film.shape[0] / 2 + rng.normal(0, 0.05, 2) * film.shape[0]
    moved = ndimage.affine_transform(
        ndimage.gaussian_filter(film, 0.6),
        matrix,
        centre - matrix @ np.full(2, SIDE / 2),
        (SIDE, SIDE),
        order=1,
        mode="nearest" if rng.random() < 0.7 else "constant",
    )
    exposed = toned(np.rot90(moved, quarters), rng)
    if rng.random() < 0.3:  # air that is not quite black
        exposed = np.maximum(exposed, rng.uniform(0.05, 0.35))
    return np.clip(framed(exposed, rng), 0, 1)


def toned(film: Grey, rng: Rng) -> Grey:
    """Return the film under another window and curve, with some noise."""
    film = (film - film.min()) / (np.ptp(film) + 1e-6)
    film = film ** np.exp(rng.normal(0, 0.35))
    low, high = rng.uniform(0, 0.08), rng.uniform(0.9, 1)
    return np.clip((film - low) / (high - low), 0, 1) + rng.normal(0, rng.uniform(0, 0.02), film.shape)


def framed(film: Grey, rng: Rng) -> Grey:
    """Return the film with shutters at some edges, at times wide ones, and a marker."""
    film, side = film.copy(), film.shape[0]
    if rng.random() < 0.4:
        widest = 0.16 if rng.random() < 0.7 else 0.35
        top, bottom, left, right = rng.integers(0, int(widest * side), 4) * (rng.random(4) < 0.5)
        shutter = rng.choice([0, 0.2, 0.3, 1], p=[0.5, 0.2, 0.2, 0.1])
        film[:top] = film[side - bottom :] = shutter
        film[:, :left] = film[:, side - right :] = shutter
    if rng.random() < 0.4:
        row, column = rng.integers(0, side - 9, 2)
        film[row : row + rng.integers(3, 8), column : column + rng.integers(3, 8)] = 1
    return film


def part_of(film: Grey, rng: Rng) -> Grey:
    """Return a small square of the film, at its own size."""
    size = int(rng.integers(30, 75))
    row, column = rng.integers(0, film.shape[0] - size, 2)
    return film[row : row + size, column : column + size]


def grid() -> tuple[Grey, Grey]:
    """Return the rows and columns of a counter-example, -0.5 to 0.5."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return rows, columns


def ellipse(centre: Pair, radii: Pair) -> NDArray[np.bool_]:
    """Return the inside of an ellipse, from (column, row) and its radii."""
    rows, columns = grid()
    inside: NDArray[np.bool_] = ((columns - centre[0]) / radii[0]) ** 2 + ((rows - centre[1]) / radii[1]) ** 2 < 1
    return inside


def limb(rng: Rng) -> Grey:
    """Draw one to five bones in their soft tissue, side by side."""
    rows, columns = grid()
    film = np.zeros((SIDE, SIDE))
    angle, count = rng.uniform(0, np.pi), int(rng.choice([1, 1, 2, 2, 3, 5]))
    for number in range(count):
        fan = (number - count / 2) * 0.12 if count == 5 else 0.0
        turn = angle + rng.normal(0, 0.14) + fan
        offset = (number - 2) * 0.16 if count == 5 else rng.uniform(-0.3, 0.3)
        across = columns * np.cos(turn) + rows * np.sin(turn) - offset
        along = rows * np.cos(turn) - columns * np.sin(turn)
        soft = 0.07 if count == 5 else rng.uniform(0.08, 0.3)
        bone, taper = soft * rng.uniform(0.2, 0.45), 1 + rng.uniform(-0.5, 0.5) * along
        joint = 1 + 0.3 * np.exp(-((along - rng.uniform(-0.2, 0.2)) ** 2) / 0.004)
        marrow = 0.6 * chord(across, 0.6 * bone * taper)
        part = chord(across, soft * taper) * rng.uniform(0.3, 0.6)
        part = part + (chord(across, bone * taper) * joint - marrow) * rng.uniform(0.4, 0.8)
        film = np.maximum(film, ndimage.gaussian_filter(part * (np.abs(along) < rng.uniform(0.3, 1.2)), 1))
    return film


def chord(across: Grey, radius: Grey) -> Grey:
    """Return how much of a rod of this radius a ray at this distance from its axis passes, 0..1."""
    length: Grey = np.sqrt(np.clip(1 - (across / radius) ** 2, 0, 1))
    return length


def axial_slice(rng: Rng) -> Grey:
    """Draw a section of a trunk or head: an oval with a rim and shapes in it."""
    radii = rng.uniform(0.25, 0.5, 2)
    body = ellipse((0, 0), radii)
    rim = body & ~ellipse((0, 0), radii * rng.uniform(0.88, 0.97))
    film: Grey = body * rng.uniform(0.3, 0.6) + rim * rng.uniform(0.1, 0.6)
    for _ in range(rng.integers(2, 12)):
        film = film + (ellipse(rng.uniform(-0.35, 0.35, 2), rng.uniform(0.02, 0.2, 2)) & body) * rng.uniform(-0.4, 0.5)
    return np.asarray(ndimage.gaussian_filter(film, rng.uniform(0.4, 1.4)) + rng.normal(0, 0.02, film.shape))


def ultrasound(rng: Rng) -> Grey:
    """Draw a sector of speckle."""
    rows, columns = grid()
    apex = rng.uniform(-0.7, -0.4)
    depth = np.hypot(columns, rows - apex)
    sector = (np.abs(np.arctan2(columns, rows - apex)) < rng.uniform(0.4, 0.8)) & (depth < rng.uniform(0.8, 1.1))
    speckle, shade = cloud(rng, rng.uniform(0.7, 2)), cloud(rng, rng.uniform(5, 14))
    return np.clip(0.3 + 0.15 * speckle + 0.25 * shade, 0, 1) * (sector & (depth > max(0.15, -0.5 - apex)))


def cloud(rng: Rng, sigma: float) -> Grey:
    """Return smooth noise of unit variance."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), sigma)
    return np.asarray(noise / noise.std())


def clouds(rng: Rng) -> Grey:
    """Draw noise of all sizes at once."""
    return np.asarray(sum(cloud(rng, 2.0**octave) * rng.uniform(0, octave) for octave in range(6)))


def graph(rng: Rng) -> Grey:
    """Draw lines and boxes on paper, or on black."""
    paper = int(rng.choice([255, 250, 0]))
    image = Image.new("L", (SIDE, SIDE), paper)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(3, 40)):
        x, y, to_x, to_y = (int(value) for value in rng.integers(0, SIDE, 4))
        if rng.random() < 0.5:
            ink = int(rng.integers(0, 150)) if paper else int(rng.integers(80, 255))
            pen.line((x, y, to_x, to_y), fill=ink, width=int(rng.integers(1, 4)))
        else:
            pen.rectangle((x, y, x + to_x // 4, y + to_y // 4), fill=int(rng.integers(0, 255)))
    return np.asarray(image) / 255


def skull(rng: Rng) -> Grey:
    """Draw a vault with a bright rim, a neck and cavities."""
    rows, columns = grid()
    radii = rng.uniform(0.3, 0.45, 2)
    distance = np.sqrt((columns / radii[0]) ** 2 + ((rows + 0.05) / radii[1]) ** 2)
    film = np.clip(1 - distance, 0, 1) ** 0.3 * 0.5 + np.exp(-(((distance - 1) / 0.05) ** 2)) * 0.5
    film = film + ((np.abs(columns - rng.uniform(-0.1, 0.1)) < rng.uniform(0.08, 0.2)) & (rows > 0.2)) * 0.5
    for _ in range(6):
        centre = (rng.uniform(-0.3, 0.3), rng.uniform(0, 0.35))
        film = film + ellipse(centre, (rng.uniform(0.03, 0.1),) * 2) * rng.uniform(-0.3, 0.4)
    return np.asarray(ndimage.gaussian_filter(film, 1.4))


def belly(rng: Rng) -> Grey:
    """Draw a trunk with a spine, at times a pelvis, and gas."""
    rows, columns = grid()
    film = np.sqrt(np.clip(1 - (columns / rng.uniform(0.4, 0.6)) ** 2, 0, 1)) * 0.6
    spine = (np.abs(columns - rng.uniform(-0.03, 0.03)) < 0.05) & (rows < rng.uniform(0.1, 0.5))
    film = film + spine * 0.2 * (1 + 0.3 * np.sin(rows * rng.uniform(40, 70)))
    if rng.random() < 0.6:
        for side in (-1, 1):
            film = (
                film + ellipse((side * 0.23, 0.2), (0.17, 0.2)) * 0.2 - ellipse((side * 0.1, 0.4), (0.06, 0.08)) * 0.2
            )
            film = film + ellipse((side * 0.28, 0.38), (0.07, 0.07)) * 0.25
    for _ in range(rng.integers(0, 12)):
        film = film - ellipse(rng.uniform(-0.35, 0.35, 2), rng.uniform(0.02, 0.09, 2)) * rng.uniform(0.05, 0.25)
    return np.asarray(ndimage.gaussian_filter(film, 1.4))


COUNTERS: tuple[Callable[[Rng], Grey], ...] = (
    *(limb,) * 3, *(axial_slice,) * 2, *(ultrasound,) * 2, clouds, graph, skull, *(belly,) * 2,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
