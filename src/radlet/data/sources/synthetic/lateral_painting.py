"""How the findings that a lateral film shows disturb its maps; the others are left to the frontal film.

A finding's depth from front to back is drawn from its own seed, so it stays in place between exams.
"""

from collections.abc import Callable, Mapping

import numpy as np

from radlet.data.sources.synthetic.canvas import Map, cloud, ellipse, half_chord, ramp, smooth_path, tube
from radlet.data.sources.synthetic.findings import SEVERITIES, Lesion
from radlet.data.sources.synthetic.lateral import Lateral

Painter = Callable[[Lateral, Lesion, np.random.Generator], Map]


def paint(scene: Lateral, lesion: Lesion) -> Map | None:
    """Draw one finding and return its region (positive inside), or None when a lateral film does not show it."""
    painter = PAINTERS.get(lesion.kind)
    return painter(scene, lesion, np.random.default_rng([lesion.seed, 2])) if painter else None


def _spot(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> tuple[float, float]:
    anatomy = scene.anatomy
    low, high = {"upper": (0.12, 0.24), "mid": (0.42, 0.56), "lower": (0.76, 0.9)}[lesion.zone or "mid"]
    y = anatomy.apex_y + (anatomy.dome_y_left - anatomy.apex_y) * float(rng.uniform(low, high))
    depth = (0.30, 0.62) if lesion.zone != "lower" else (0.62, 0.80)
    front = float(np.interp(y, scene.grid.y[:, 0], scene.front[:, 0]))
    back = float(np.interp(y, scene.grid.y[:, 0], scene.back[:, 0]))
    return front + (back - front) * float(rng.uniform(*depth)), y


def _fill(scene: Lateral, chord: Map) -> Map:
    taken: Map = np.minimum(chord, scene.lung)
    scene.lung -= taken
    return taken


def effusion(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Fill the posterior costophrenic angle; both sides lie over each other."""
    grid, half = scene.grid, 0.5 * scene.anatomy.chest_depth
    grade = SEVERITIES.index(lesion.severity) if lesion.severity else 0
    height = float(rng.uniform(*((30, 38), (58, 72), (100, 125))[grade]))
    angle_y = 0.5 * (scene.anatomy.dome_y_left + scene.anatomy.dome_y_right) + 46
    surface = angle_y - height + 26 * (1 - np.clip(grid.x / half, -1, 1) ** 2)
    share = 0.9 if lesion.side == "bilateral" else 0.6
    return np.asarray(_fill(scene, scene.lung * (share * ramp(grid.y - surface, 10))) > 14, dtype=np.float32)


def filling(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw consolidation and haze as a patch of filled lung."""
    x, y = _spot(scene, lesion, rng)
    dense = lesion.kind == "consolidation"
    radii = (30.0, 25.0) if dense else (42.0, 36.0)
    blob = np.exp(-(ellipse(scene.grid, (x, y), radii, float(rng.uniform(-0.5, 0.5))) ** 1.6))
    return np.asarray(_fill(scene, scene.lung * ((0.46 if dense else 0.24) * blob)) > 16, dtype=np.float32)


def edema(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Haze the lungs around the hila."""
    grade = SEVERITIES.index(lesion.severity) if lesion.severity else 0
    veil = np.exp(-(ellipse(scene.grid, (4, 2), (64, 84)) ** 1.4)) * np.clip(
        1 + 0.28 * cloud(scene.grid, rng, 34), 0.3, 1.7
    )
    return np.asarray(_fill(scene, scene.lung * ((0.2, 0.32, 0.46)[grade] * veil)) > 8, dtype=np.float32)


def atelectasis(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw two bands."""
    x, y = _spot(scene, lesion, rng)
    region = np.zeros_like(scene.lung)
    for k in range(2):
        tilt, at = float(rng.uniform(-0.1, 0.5)), np.array([x, y - 13 * k])
        along = 28 * np.array([np.cos(tilt), np.sin(tilt)])
        band = np.minimum(tube(scene.grid, smooth_path([at - along, at, at + along]), 3.0), 6) * (scene.lung > 12)
        scene.soft += 4.0 * band
        region += band > 1.6
    return region


def heart_region(scene: Lateral, _lesion: Lesion, _rng: np.random.Generator) -> Map:
    """Return the enlarged heart, already part of the body."""
    return scene.heart * (scene.grid.y < scene.base + 8)


def nodule(scene: Lateral, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw a round lesion."""
    radius = 0.5 * (lesion.size_mm or 20)
    ball = half_chord(ellipse(scene.grid, _spot(scene, lesion, rng), (radius, radius)))
    scene.soft += (40 + 1.2 * radius) * ball
    return ball


def pacemaker(scene: Lateral, _lesion: Lesion, _rng: np.random.Generator) -> Map:
    """Place the generator edge-on before the upper chest and lead a wire into the heart."""
    grid, anatomy = scene.grid, scene.anatomy
    x, y = -0.40 * anatomy.chest_depth - 12, anatomy.apex_y + 58
    box = ramp(1.0 - ellipse(grid, (x, y), (9, 21), 0.25), 0.2)
    course = [(x, y), (x + 34, y - 34), (-4, y - 4), (-8, 0), (-0.26 * anatomy.chest_depth, 0.6 * anatomy.dome_y_left)]
    wire = tube(grid, smooth_path(course, 40), 1.3)
    scene.metal += 0.55 * wire + 2.2 * box
    return np.maximum(box, wire)


PAINTERS: Mapping[str, Painter] = {
    "effusion": effusion,
    "consolidation": filling,
    "hazy_opacity": filling,
    "edema": edema,
    "atelectasis": atelectasis,
    "cardiomegaly": heart_region,
    "nodule": nodule,
    "mass": nodule,
    "pacemaker": pacemaker,
}
