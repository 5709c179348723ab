"""How each finding disturbs the frontal maps, and the exact region it occupies.

Each painter takes the scene, the lesion and the lesion's own generator, changes the maps in place and returns the
region as a map that is positive inside. Findings that change the body's shape do so beforehand, in `reshaped`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from radlet.data.sources.synthetic.anatomy import Anatomy
from radlet.data.sources.synthetic.canvas import (
    Floats,
    Map,
    add_ball,
    cloud,
    ellipse,
    half_chord,
    ramp,
    smooth_path,
    tube,
)
from radlet.data.sources.synthetic.findings import SEVERITIES, Lesion
from radlet.data.sources.synthetic.frontal import Frontal, rib_line, rib_profile, rib_reach, widened

Painter = Callable[[Frontal, Lesion, np.random.Generator], Map]

_HEART_RATIO = {"mild": (0.535, 0.565), "moderate": (0.58, 0.62), "severe": (0.635, 0.69)}


def reshaped(anatomy: Anatomy, lesions: tuple[Lesion, ...]) -> Anatomy:
    """Return the body with the shape that its findings give it: heart, mediastinum, diaphragm, vessels."""
    for lesion in lesions:
        rng = np.random.default_rng(lesion.seed)
        if lesion.kind == "cardiomegaly" and lesion.severity:
            low, high = _HEART_RATIO[lesion.severity]
            anatomy = replace(anatomy, cardiothoracic_ratio=low + (high - low) * float(rng.random()))
        elif lesion.kind == "wide_mediastinum":
            anatomy = widened(anatomy, float(rng.uniform(19, 28)))
        elif lesion.kind == "edema":
            anatomy = replace(anatomy, vessel_scale=anatomy.vessel_scale * (1.5 + 0.35 * _grade(lesion)))
        elif lesion.kind == "atelectasis" and lesion.side in ("left", "right"):
            field = f"dome_y_{lesion.side}"
            anatomy = replace(anatomy, **{field: getattr(anatomy, field) - float(rng.uniform(5, 12))})
    return anatomy


def paint(scene: Frontal, lesion: Lesion) -> Map:
    """Draw one finding and return its region (positive inside)."""
    return PAINTERS[lesion.kind](scene, lesion, np.random.default_rng([lesion.seed, 1]))


def _grade(lesion: Lesion) -> int:
    return SEVERITIES.index(lesion.severity) if lesion.severity else 1


def _signs(lesion: Lesion) -> tuple[int, ...]:
    return {"left": (1,), "right": (-1,)}.get(str(lesion.side), (-1, 1))


def _spot(
    scene: Frontal, lesion: Lesion, rng: np.random.Generator, lateral: tuple[float, float]
) -> tuple[float, float]:
    """Return a place (mm) within the lesion's side and zone; `lateral` is its range from middle 0 to wall 1."""
    grid, anatomy = scene.grid, scene.anatomy
    sign = 1 if lesion.side == "left" else -1
    bottom = anatomy.dome_y_left if sign > 0 else anatomy.dome_y_right
    top = anatomy.apex_y + 22
    low, high = {"upper": (0.13, 0.26), "mid": (0.42, 0.58), "lower": (0.76, 0.95)}[lesion.zone or "mid"]
    y = top + (bottom - top) * float(rng.uniform(low, high))
    wall = float(np.interp(y, grid.y[:, 0], scene.x_lat[:, 0]))
    inner = anatomy.mediastinum_half_width + (30 if sign > 0 and lesion.zone == "lower" else 8)
    share = float(rng.uniform(*lateral))
    return sign * (inner + (wall - inner) * share), y


def _fill(scene: Frontal, chord: Floats) -> Map:
    """Replace `chord` mm of aerated lung by tissue and return how many mm were replaced."""
    taken: Map = np.minimum(chord, scene.lung).astype(np.float32)
    scene.lung -= taken
    return taken


def effusion(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Fill the costophrenic angle with fluid whose surface climbs the chest wall (the meniscus)."""
    grid, anatomy = scene.grid, scene.anatomy
    region = np.zeros_like(scene.lung)
    for sign in _signs(lesion):
        wall = anatomy.chest_half_width
        angle_y = (anatomy.dome_y_left if sign > 0 else anatomy.dome_y_right) + 34
        height = ((48, 58), (80, 96), (120, 142))[_grade(lesion)]
        along = np.clip((grid.x * sign - 12) / (wall - 12), 0, 1)
        drop = 30 if _grade(lesion) else 40
        surface = angle_y - float(rng.uniform(*height)) + drop * (1 - along**2.2)
        wet = ramp(grid.y - surface, 13 + 5 * _grade(lesion)) * scene.side_mask("left" if sign > 0 else "right")
        region += _fill(scene, scene.lung * wet) > 12
    return region


def pneumothorax(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw the lung away from the wall: a vessel-free lucent rim bounded by the pleural line."""
    grid, anatomy = scene.grid, scene.anatomy
    sign = _signs(lesion)[0]
    gap = float(rng.uniform(*((20, 24), (31, 40), (52, 66))[_grade(lesion)]))
    y = grid.y[:, 0]
    lowered = np.interp(y - 1.05 * gap, y, scene.x_lat[:, 0], left=0)
    taper = np.interp(y, [anatomy.apex_y, 10, anatomy.dome_y_right + 30], [1.0, 0.62, 0.12 + 0.2 * _grade(lesion)])
    line = (lowered - gap * taper).astype(np.float32)[:, None]
    here = scene.side_mask("left" if sign > 0 else "right") * ramp(scene.lung - 6, 8)
    rim = ramp(grid.abs_x - np.maximum(line, 0), 2.2) * here
    scene.density *= 1 - rim
    scene.density += (1 - rim) * here * np.float32(0.06 + 0.06 * _grade(lesion))
    scene.vessels *= 1 - rim
    edge = np.exp(-(((grid.abs_x - line) / 1.5) ** 2)) * here * ramp(scene.base - 6 - grid.y, 4)
    scene.soft += 20 * edge
    return np.asarray((rim > 0.5) & (scene.lung > 10), dtype=np.float32)


def consolidation(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Fill a lobe-sized patch densely, with soft edges and lucent bronchi through it."""
    grid = scene.grid
    x, y = _spot(scene, lesion, rng, (0.35, 0.62))
    blob: Map = np.zeros_like(scene.lung)
    for _ in range(6):
        at = (x + float(rng.normal(0, 12)), y + float(rng.normal(0, 10)))
        radii = (float(rng.uniform(22, 33)), float(rng.uniform(18, 27)))
        blob = np.maximum(blob, np.exp(-(ellipse(grid, at, radii, float(rng.uniform(0, 3))) ** 1.5)))
    blob *= np.clip(1 + 0.16 * cloud(grid, rng, 26), 0.55, 1.3)
    taken = _fill(scene, scene.lung * np.clip(1.0 * blob, 0, 0.94))
    for angle in rng.uniform(-0.7, 0.7, 3):
        out = np.array([np.cos(angle) * np.sign(x), np.sin(angle)])
        path = smooth_path([np.array([x, y]) - 22 * out, (x, y), np.array([x, y]) + 24 * out + rng.normal(0, 4, 2)])
        scene.soft -= 1.3 * tube(grid, path, 2.2) * (taken > 15)
    return np.asarray(taken > 22, dtype=np.float32)


def hazy_opacity(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Veil a broad area evenly; vessels and ribs stay visible through it."""
    x, y = _spot(scene, lesion, rng, (0.42, 0.64))
    radii = (float(rng.uniform(34, 44)), float(rng.uniform(30, 38)))
    veil = np.exp(-(ellipse(scene.grid, (x, y), radii, float(rng.uniform(-0.5, 0.5))) ** 2))
    taken = _fill(scene, scene.lung * (np.float32(rng.uniform(0.54, 0.62)) * veil))
    return np.asarray(taken > 14, dtype=np.float32)


def edema(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Haze both lungs from the hila outwards, with thick vessels and short septal lines at the bases."""
    grid = scene.grid
    share = (0.22, 0.36, 0.54)[_grade(lesion)]
    veil: Map = np.zeros_like(scene.lung)
    for sign in (-1, 1):
        veil = np.maximum(veil, np.exp(-(ellipse(grid, (sign * 52.0, 4), (62, 84), 0) ** 1.3)))
    veil *= np.clip(1 + 0.28 * cloud(grid, rng, 34), 0.3, 1.7)
    taken = _fill(scene, scene.lung * np.clip(share * veil, 0, 0.8))
    wall = scene.anatomy.chest_half_width
    for sign in (-1, 1):
        for y in np.linspace(38, scene.anatomy.dome_y_right + 8, 6):
            x = sign * (0.94 * wall + float(rng.normal(0, 2)))
            scene.soft += 2.2 * tube(grid, [(x, y), (x - sign * 15, y - 3)], 1.0) * (scene.lung > 20)
    return np.asarray(taken > 6, dtype=np.float32)


def atelectasis(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw two or three plate-like bands."""
    region = np.zeros_like(scene.lung)
    for sign in _signs(lesion):
        x, y = _spot(scene, replace(lesion, side="left" if sign > 0 else "right"), rng, (0.42, 0.58))
        y -= 10 if lesion.zone == "lower" else 0
        for k in range(int(rng.integers(2, 4))):
            half, tilt = float(rng.uniform(28, 40)), float(rng.uniform(-0.25, 0.35)) * -sign
            at = np.array([x + rng.normal(0, 5), y - 13 * k + rng.normal(0, 1)])
            along = np.array([np.cos(tilt), np.sin(tilt)]) * half
            band = tube(scene.grid, smooth_path([at - along, at + np.array([0, rng.normal(0, 2)]), at + along]), 3.8)
            band = np.minimum(band, 7) * ramp(scene.lung - 8, 14)
            scene.soft += np.float32(6.5) * band
            region += band > 1.6
    return region


def heart_region(scene: Frontal, _lesion: Lesion, _rng: np.random.Generator) -> Map:
    """Return the enlarged heart, which `reshaped` has already drawn."""
    return scene.heart * (scene.grid.y < scene.base + 8)


def mediastinum_region(scene: Frontal, _lesion: Lesion, _rng: np.random.Generator) -> Map:
    """Return the widened upper mediastinum, which `reshaped` has already drawn."""
    grid, anatomy = scene.grid, scene.anatomy
    within = grid.abs_x < anatomy.mediastinum_half_width + 0.5 * anatomy.aortic_knob * scene.left
    return np.asarray(within & (grid.y > anatomy.apex_y + 10) & (grid.y < 0), dtype=np.float32)


def nodule(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Draw a round lesion: smooth when small, lobulated when a mass."""
    radius = 0.5 * (lesion.size_mm or 20)
    x, y = _spot(scene, lesion, rng, (0.34, 0.72))
    angle = np.arctan2(scene.grid.y - y, scene.grid.x - x)
    lobes = 1 + (0.09 if radius > 15 else 0.03) * np.sin(3 * angle + float(rng.uniform(0, 6)))
    lobes += (0.05 if radius > 15 else 0.0) * np.sin(5 * angle + float(rng.uniform(0, 6)))
    ball = half_chord(ellipse(scene.grid, (x, y), (radius, radius * float(rng.uniform(0.9, 1.1)))) / lobes**2)
    scene.soft += (46 + 1.0 * radius) * ball
    return ball


def rib_fracture(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Break three or four neighbouring posterior ribs: a gap, a step and callus at the bone ends."""
    grid, anatomy = scene.grid, scene.anatomy
    sign = 1 if lesion.side == "left" else -1
    _, y = _spot(scene, lesion, rng, (0.5, 0.6))
    x = float(rng.uniform(0.60, 0.76)) * float(np.interp(y, grid.y[:, 0], scene.x_lat[:, 0]))
    lines = [float(rib_line(anatomy, np.float32(x), float(k))) for k in range(12)]
    first = int(np.clip(np.argmin(np.abs(np.array(lines) - y)) - 1, 1, 7))
    region = np.zeros_like(scene.lung)
    for rib in range(first, first + int(rng.integers(3, 5))):
        at = x + float(rng.normal(0, 3))
        region += _break(scene, rib, sign, at, float(rng.uniform(9, 12)) * (1 if rng.random() < 0.5 else -1))
    return region


def _break(scene: Frontal, rib: int, sign: int, at: float, step: float) -> Map:
    grid, anatomy = scene.grid, scene.anatomy
    y = float(rib_line(anatomy, np.float32(at), float(rib)))
    window = grid.window(sign * at, y, 46)
    rows, columns = window
    x = np.abs(grid.x[:, columns])
    offset = grid.y[rows] - rib_line(anatomy, x, float(rib))
    reach = rib_reach(grid, scene.x_lat)[window]
    whole = rib_profile(offset) * reach
    past = x - np.float32(at)
    # The outer fragment is shifted at the break and rejoins the rib's course further out.
    shift = np.float32(step) * np.clip(1 - past / 36, 0, 1) * (past > 0)
    fragment = rib_profile(offset - shift) * reach * ramp(np.abs(past) - 4.2, 1.5)
    ends = 1 + 1.0 * np.exp(-(((np.abs(past) - 6) / 4) ** 2))
    scene.bone[window] += 1.15 * fragment * ends - whole
    for end, moved in ((at - 7, 0.0), (at + 7, step)):
        add_ball(scene.bone, grid, (sign * end, y + moved), (5.5, 6.5), 13)
    region = np.zeros_like(scene.bone)
    region[window] = (np.abs(past) < 16) & (np.abs(offset - 0.5 * shift) < 12)
    return region


def pleural_thickening(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Coat the apex, or the side wall, with a lumpy layer of soft tissue."""
    grid, anatomy = scene.grid, scene.anatomy
    here = scene.side_mask(str(lesion.side)) * ramp(scene.lung - 8, 8)
    here = here * ramp(grid.abs_x - anatomy.mediastinum_half_width - 7, 9)
    phase = float(rng.uniform(0, 6))
    lumps = 1 + 0.16 * np.sin(grid.y / np.float32(13) + phase) + 0.06 * np.sin(grid.y / np.float32(5))
    if lesion.zone == "upper":
        y = grid.y[:, 0]
        lowered = np.interp(y - float(rng.uniform(24, 31)), y, scene.x_lat[:, 0], left=0).astype(np.float32)[:, None]
        layer = ramp(grid.abs_x - lowered + 3 * lumps, 4) * ramp(anatomy.apex_y + 62 - grid.y, 40)
    else:
        depth = float(rng.uniform(17, 22)) * lumps
        span = np.exp(-(((grid.y - 0) / 50) ** 4))
        layer = ramp(grid.abs_x - scene.x_lat + depth * span, 8) * (span > 0.05)
    layer = layer * here
    scene.soft += 48 * layer
    return np.asarray(layer > 0.5, dtype=np.float32)


def endotracheal_tube(scene: Frontal, _lesion: Lesion, rng: np.random.Generator) -> Map:
    """Lay a tube in the trachea, its tip 3 to 5 cm above the carina."""
    tip = -52 - float(rng.uniform(26, 42))
    path = smooth_path([(float(rng.normal(0, 3)), -195), (1, -140), (2, tip)])
    line = tube(scene.grid, path, 4.6) - 0.55 * tube(scene.grid, path, 3.0)
    scene.metal += 0.16 * np.maximum(line, 0)
    stripe = tube(scene.grid, path + np.array([2.2, 0]), 1.2)
    scene.metal += 0.5 * stripe
    return np.maximum(line, 0)


def central_line(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Lay a catheter from the neck or below the clavicle to the superior vena cava."""
    sign = 1 if lesion.side == "left" else -1
    top = scene.anatomy.apex_y
    tip = (-17 + float(rng.normal(0, 2)), float(rng.uniform(-18, 8)))
    if rng.random() < 0.5:
        course = [(sign * 46, -195), (sign * 34, top), (sign * 20 - 6, top + 46), (-17, top + 80), tip]
    else:
        course = [(sign * 118, -60), (sign * 92, top + 28), (sign * 44, top + 26), (-14, top + 58), tip]
    line = tube(scene.grid, smooth_path(course, 40), 1.5)
    scene.metal += 0.52 * line
    return line


def pacemaker(scene: Frontal, lesion: Lesion, rng: np.random.Generator) -> Map:
    """Place the generator below the clavicle and lead its wires into the heart."""
    grid, anatomy = scene.grid, scene.anatomy
    sign = 1 if lesion.side == "left" else -1
    x, y = (
        sign * (0.74 * anatomy.chest_half_width + float(rng.normal(0, 4))),
        anatomy.apex_y + float(rng.uniform(52, 66)),
    )
    box = ramp(1.0 - np.asarray(ellipse(grid, (x, y), (24, 20), 0.15 * sign) ** 1.6), 0.2)
    heart_x, heart_y = scene.heart_centre
    start = (x - sign * 14, y - 12)
    vein = [(sign * 52, anatomy.apex_y + 34), (-12, anatomy.apex_y + 62)]
    tips = [(heart_x + 0.45 * scene.heart_radii[0], heart_y + 24.0)]
    if rng.random() < 0.6:
        tips.append((heart_x - 0.55 * scene.heart_radii[0], heart_y - 14.0))
    region = box
    for tip_x, tip_y in tips:
        course = [(x, y), start, *vein, (-20, heart_y - 36), (0.5 * (tip_x - 20), tip_y - 4), (tip_x, tip_y)]
        wire = tube(grid, smooth_path(course, 48), 1.3)
        scene.metal += 0.55 * wire
        region = np.maximum(region, wire)
    scene.metal += 2.2 * box
    return region


PAINTERS: Mapping[str, Painter] = {
    "effusion": effusion,
    "pneumothorax": pneumothorax,
    "consolidation": consolidation,
    "hazy_opacity": hazy_opacity,
    "edema": edema,
    "atelectasis": atelectasis,
    "cardiomegaly": heart_region,
    "wide_mediastinum": mediastinum_region,
    "nodule": nodule,
    "mass": nodule,
    "rib_fracture": rib_fracture,
    "pleural_thickening": pleural_thickening,
    "endotracheal_tube": endotracheal_tube,
    "central_line": central_line,
    "pacemaker": pacemaker,
}
