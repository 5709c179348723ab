"""Frontal chest (PA and AP): path lengths of soft tissue, air and bone through the parametric body.

`Frontal` holds the maps that findings then disturb; `attenuation` sums them (Beer-Lambert) for the detector.
"""

from dataclasses import replace

import numpy as np

from radlet.data.sources.synthetic.anatomy import Anatomy
from radlet.data.sources.synthetic.canvas import (
    Canvas,
    Floats,
    Map,
    add_ball,
    ellipse,
    half_chord,
    ramp,
    smooth_path,
    tube,
    tubes,
)
from radlet.data.sources.synthetic.vessels import vessel_tree

MU_SOFT, MU_BONE = 0.0175, 0.032
"""Effective attenuation per mm at about 110 kVp, water-like tissue and the mineral part of bone."""
LUNG_DENSITY = 0.26
"""Density of aerated lung relative to soft tissue."""


_HEART_TILT = 0.68
"""Radians by which the long axis of the heart falls towards the patient's left."""


class Frontal:
    """The frontal maps of one exam, in mm of path unless said otherwise.

    Attributes:
        lung: Path through aerated lung.
        density: Density of that lung relative to soft tissue.
        soft: Soft tissue beyond the body's own, negative where gas replaces it.
        bone: Mineral bone.
        metal: Attenuation of devices, already a product.
        vessels: Path through vessels, counted only where there is lung.
        x_lat: Half-width of the rib cage by row (H, 1).
        base: y of the top of the diaphragm by column (1, W).
    """

    def __init__(self, grid: Canvas, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.grid, self.anatomy = grid, anatomy
        self.left = grid.x > 0
        self.x_lat = rib_cage(grid, anatomy)
        self.base = diaphragm(grid, anatomy)
        self.heart_centre, self.heart_radii = heart_shape(anatomy)
        self.heart = half_chord(ellipse(grid, self.heart_centre, self.heart_radii, _HEART_TILT))
        self.lung = self._lung()
        self.outline = ramp(self.lung - 14, 22)
        self.density: Map = np.full((grid.size_px, grid.size_px), LUNG_DENSITY, np.float32)
        self.soft = self._soft(rng)
        self.bone = self._bone()
        self.metal: Map = np.zeros((grid.size_px, grid.size_px), np.float32)
        self.vessels = vessel_tree(grid, anatomy, ((-36, -2), (38, -14))) * np.float32(1.5 * anatomy.vessel_scale)

    def attenuation(self) -> Map:
        """Return the line integral of attenuation, dimensionless."""
        vessels = self.vessels * self.outline
        soft = self._body + self.soft + vessels - self.lung * (1 - self.density)
        result: Map = np.maximum(soft, 0) * np.float32(MU_SOFT) + self.bone * np.float32(MU_BONE) + self.metal
        return result

    def side_mask(self, side: str) -> Map:
        """Return 1 on that side of the patient (1, W); left is the image's right."""
        return (self.left if side == "left" else ~self.left).astype(np.float32)

    def _lung(self) -> Map:
        grid, anatomy = self.grid, self.anatomy
        lung = half_chord((grid.x / np.maximum(self.x_lat, 1)) ** 2)
        rise = np.clip((anatomy.widest_y - grid.y) / (anatomy.widest_y - anatomy.apex_y), 0, 1)
        depth = anatomy.chest_depth * (0.25 + 0.75 * np.sqrt(1 - rise**2))
        lung *= depth.astype(np.float32)
        medial = self._medial()
        lung *= 0.10 + 0.90 * ramp(grid.abs_x - medial, 11)
        below = self.base - grid.y
        # Behind the dome the lung reaches deeper: a thin wedge shows through the liver.
        wedge = 0.13 * np.clip(1 + below * np.float32(1 / 38), 0, 1)
        front = 0.74 + 0.26 * np.clip(below * np.float32(1 / 70), 0, 1)
        lung *= wedge + ramp(below, 3.5) * (front - wedge)
        lung -= self.heart * np.float32(0.72 * anatomy.chest_depth)
        result: Map = np.maximum(lung, 0)
        return result

    def _medial(self) -> Map:
        grid, anatomy = self.grid, self.anatomy
        edge = anatomy.mediastinum_half_width + 46 * np.exp(-(grid.y - anatomy.apex_y) / 17.0)
        widen = max(anatomy.mediastinum_half_width - 26, 0)
        edge = edge - widen * np.clip((grid.y + 42) / 50, 0, 0.95)
        knob = anatomy.aortic_knob * half_chord(((grid.y + 58) / (anatomy.aortic_knob + 4)) ** 2)
        trunk = 8 * np.exp(-(((grid.y + 22) / 14) ** 2))
        result: Map = np.where(self.left, edge + 0.62 * knob + trunk, edge).astype(np.float32)
        return result

    def _soft(self, rng: np.random.Generator) -> Map:
        grid, anatomy = self.grid, self.anatomy
        wall, heavy = anatomy.wall, anatomy.habitus
        torso = anatomy.chest_half_width + wall
        half_width = grid.column(
            [-190, -168, -152, -138, -118, -70, -20, 60, 190],
            [56 + 14 * heavy, 58 + 16 * heavy, 84, 132, 205, torso + 46, torso + 12, torso, torso + 4 + 14 * heavy],
        )
        depth = grid.column(
            [-190, -150, -125, -70, 40, 100, 190],
            np.array([128, 140, 170, 196, 214, 220, 228]) + 1.2 * wall + np.array([0, 0, 10, 18, 34, 52, 62]) * heavy,
        )
        self._body: Map = depth * half_chord(np.abs(grid.x / half_width) ** 3.4)
        soft = tube(grid, [(0, -200), (1, -120), (3, -52)], 8.5) * np.float32(-1.7)
        soft -= tubes(grid, [[(3, -52), (-26, -26)], [(3, -52), (30, -24)]], 6) * np.float32(0.7)
        arms = half_chord(((grid.abs_x - (torso + 52) - 0.12 * grid.y) / 34) ** 2) * ramp(grid.y + 105, 90)
        soft += 66 * arms
        if anatomy.breast:
            for side in (-1, 1):
                centre = (side * 0.60 * anatomy.chest_half_width, 52 + 22 * heavy)
                breast = half_chord(ellipse(grid, centre, (58 + 14 * heavy, 52 + 10 * heavy), side * -0.2))
                soft += anatomy.breast * breast * (0.45 + 0.55 * ramp(grid.y - centre[1] + 18, 66))
        else:
            for side in (-1, 1):
                add_ball(soft, grid, (side * 92.0, -48), (58, 46), 11)
        for hilum in ((-37, 0), (39, -12)):
            add_ball(soft, grid, hilum, (12, 20), 15)
        if anatomy.gas_bubble:
            centre = (62, anatomy.dome_y_left + anatomy.gas_bubble + 7)
            radii = (1.5 * anatomy.gas_bubble, anatomy.gas_bubble)
            bubble = half_chord(ellipse(grid, centre, radii, -0.15))
            soft -= 70 * bubble * ramp(grid.y - self.base - 6, 4)
        for _ in range(int(rng.integers(2, 6))):
            bowel = (float(rng.uniform(-100, 100)), float(rng.uniform(140, 172)))
            add_ball(soft, grid, bowel, (rng.uniform(9, 24), rng.uniform(6, 12)), -rng.uniform(14, 34))
        return soft

    def _bone(self) -> Map:
        grid = self.grid
        bone = posterior_ribs(grid, self.anatomy, self.x_lat) + anterior_ribs(grid, self.anatomy, self.x_lat)
        bone += spine(grid)
        bone += _clavicles(grid, self.anatomy)
        _add_shoulders(bone, grid, self.anatomy)
        return bone


def widened(anatomy: Anatomy, extra_mm: float) -> Anatomy:
    """Return the anatomy with a wider upper mediastinum and a larger aortic knob."""
    return replace(
        anatomy,
        mediastinum_half_width=anatomy.mediastinum_half_width + extra_mm,
        aortic_knob=anatomy.aortic_knob + 0.25 * extra_mm,
    )


def rib_cage(grid: Canvas, anatomy: Anatomy) -> Map:
    """Return the inner half-width of the rib cage by row (H, 1); 0 above the apex."""
    rise = (anatomy.widest_y - grid.y) / (anatomy.widest_y - anatomy.apex_y)
    above = np.maximum(1 - np.clip(rise, 0, 1) ** 2.3, 0) ** 0.52
    below = 1 - 0.05 * np.clip(-rise, 0, 1) ** 1.5
    result: Map = (anatomy.chest_half_width * np.where(rise > 0, above, below)).astype(np.float32)
    return result


def diaphragm(grid: Canvas, anatomy: Anatomy) -> Map:
    """Return y of both hemidiaphragms by column (1, W): domes that fall to the costophrenic angles."""
    top = np.where(grid.x > 0, anatomy.dome_y_left, anatomy.dome_y_right)
    along = (grid.abs_x - 0.46 * anatomy.chest_half_width) / (0.54 * anatomy.chest_half_width)
    fall = np.where(along > 0, 40 * np.abs(along) ** 2.4, 12 * along**2)
    result: Map = (top + fall).astype(np.float32)
    return result


def heart_shape(anatomy: Anatomy) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return centre and radii of the tilted heart ellipse whose width gives the cardiothoracic ratio."""
    width = 2 * anatomy.chest_half_width * anatomy.cardiothoracic_ratio
    major = width / 2 / 0.888
    minor = 0.68 * major
    dome = 0.5 * (anatomy.dome_y_left + anatomy.dome_y_right)
    # Two thirds of the heart lie on the patient's left; it sits on the diaphragm.
    return (0.20 * width, dome - 0.66 * minor + 4), (major, minor)


def rib_line(anatomy: Anatomy, x: Map | np.float32, index: float) -> Map:
    """Return y of the middle of posterior rib `index` at lateral distance `x` (mm, positive)."""
    u = x / np.float32(anatomy.chest_half_width)
    start = anatomy.apex_y + 8 + anatomy.rib_spacing * (anatomy.rib_phase - 0.5)
    along: Map = -7 * np.sin(np.float32(3.0) * np.minimum(u, 1)) + anatomy.rib_slope * 42 * u**2.4
    return np.asarray(start + index * np.float32(anatomy.rib_spacing) + along, dtype=np.float32)


def rib_profile(offset: Floats) -> Map:
    """Return mm of mineral at a distance across a rib: a thin plate with brighter cortical rims."""
    u_squared = np.square(offset * np.float32(1 / 5.6))
    body = ramp(1 - u_squared, 0.7)
    result: Map = body * (3.3 + 4.8 * np.square(u_squared))
    return result


def posterior_ribs(grid: Canvas, anatomy: Anatomy, x_lat: Map) -> Map:
    """Return the posterior ribs of both sides."""
    line = rib_line(anatomy, grid.abs_x, 0.0)
    offset = grid.y - line
    index = np.clip(np.round(offset * np.float32(1 / anatomy.rib_spacing)), 0, 11)
    return rib_profile(offset - index * np.float32(anatomy.rib_spacing)) * rib_reach(grid, x_lat)


def rib_reach(grid: Canvas, x_lat: Map) -> Map:
    """Return how much of a rib a ray crosses: more where it turns along the chest wall, nothing beyond."""
    inside = ramp(x_lat + 7 - grid.abs_x, 4)
    turn = 1 + 0.9 * np.clip((grid.abs_x - 0.86 * x_lat) / (0.14 * x_lat + 7), 0, 1) ** 2
    result: Map = inside * turn * ramp(grid.abs_x - 14, 6)
    return result


def anterior_ribs(grid: Canvas, anatomy: Anatomy, x_lat: Map) -> Map:
    """Return the fainter anterior ribs, which run down towards the middle and end in cartilage."""
    u = grid.abs_x / np.float32(anatomy.chest_half_width)
    spacing = 1.28 * anatomy.rib_spacing
    line = anatomy.apex_y + 40 + 74 * (1 - np.minimum(u, 1) ** 1.6)
    offset = (grid.y - line).astype(np.float32)
    index = np.clip(np.round(offset * np.float32(1 / spacing)), -1, 6)
    reach = ramp(x_lat + 5 - grid.abs_x, 5) * ramp(grid.abs_x - 52, 22)
    result: Map = np.float32(0.55) * rib_profile((offset - index * np.float32(spacing)) * np.float32(0.85)) * reach
    return result


def spine(grid: Canvas) -> Map:
    """Return the vertebral column with end plates, disc spaces and pedicles."""
    phase = (grid.y + 190) / (21.5 + 0.02 * grid.y)
    within = np.abs(phase - np.round(phase)) * 2
    plates = 1 - 0.40 * ramp(np.float32(0.16) - within, 0.16) + 0.22 * np.exp(-(((within - 0.26) / 0.1) ** 2))
    width = 13 + 0.016 * (grid.y + 190)
    body = 5.5 * half_chord(np.abs(grid.x / width) ** 5) * plates
    pedicles = 3.2 * np.exp(-(((grid.abs_x - 0.62 * width) / 3.0) ** 2) - ((within - 0.72) / 0.28) ** 2)
    result: Map = (body + pedicles).astype(np.float32)
    return result


def _clavicles(grid: Canvas, anatomy: Anatomy) -> Map:
    inner = anatomy.apex_y + 30
    course = [(16, inner), (58, inner - 13), (105, inner - 26), (150, inner - 26)]
    lines = [smooth_path([(side * x, y) for x, y in course]) for side in (-1, 1)]
    # A hollow shaft: the tube less its marrow leaves the rims bright.
    return np.asarray(1.05 * tubes(grid, lines, 6.4) - 1.0 * tubes(grid, lines, 3.6), dtype=np.float32)


def _add_shoulders(bone: Map, grid: Canvas, anatomy: Anatomy) -> None:
    edge, top = anatomy.chest_half_width + 10, anatomy.apex_y + 24
    border = [(edge + 22, top + 4), (edge + 2, top + 58), (edge + 4, top + 126)]
    ridge = [(edge + 40, top - 14), (edge - 30, top + 18)]
    lines = [smooth_path([(side * x, y) for x, y in line]) for side in (-1, 1) for line in (border, ridge)]
    bone += 0.75 * tubes(grid, lines, 3.3)
    for side in (-1, 1):
        add_ball(bone, grid, (side * (edge + 50), top), (25, 27), 14)
