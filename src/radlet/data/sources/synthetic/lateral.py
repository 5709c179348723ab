"""Lateral chest: the same body seen from its side, facing the image's left; both lungs lie over each other."""

import numpy as np

from radlet.data.sources.synthetic.anatomy import Anatomy
from radlet.data.sources.synthetic.canvas import Canvas, Map, ellipse, half_chord, ramp, smooth_path, tube
from radlet.data.sources.synthetic.frontal import LUNG_DENSITY
from radlet.data.sources.synthetic.vessels import vessel_tree

MU_SOFT, MU_BONE = 0.0128, 0.026
"""Effective attenuation per mm; lower than frontal because thicker bodies are exposed with harder rays."""


class Lateral:
    """The lateral maps of one exam; the attributes mean what they mean in `Frontal`.

    Attributes:
        front: x of the front of the lungs by row (H, 1).
        back: x of their back by row (H, 1).
    """

    def __init__(self, grid: Canvas, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.grid, self.anatomy = grid, anatomy
        half = 0.5 * anatomy.chest_depth + 6
        self.front = grid.column(
            [anatomy.apex_y - 4, anatomy.apex_y + 22, -60, 0, 60, 120], -half * np.array([0.05, 0.42, 0.86, 1, 1, 0.9])
        )
        self.back = grid.column(
            [anatomy.apex_y - 4, anatomy.apex_y + 22, -60, 0, 60, 130], half * np.array([0.1, 0.62, 0.94, 1.08, 1.1, 1])
        )
        self.base = self._diaphragm()
        centre, radii = _heart(anatomy)
        self.heart = half_chord(ellipse(grid, centre, radii, 0.5))
        self.lung = self._lung()
        self.outline = ramp(self.lung - 20, 30)
        self.density: Map = np.full((grid.size_px, grid.size_px), LUNG_DENSITY, np.float32)
        self.soft = self._soft(rng)
        self.bone = self._bone()
        self.metal: Map = np.zeros((grid.size_px, grid.size_px), np.float32)
        hila = ((8.0, -12.0), (-4.0, -6.0))
        self.vessels = vessel_tree(grid, anatomy, hila, fan=3.0) * np.float32(1.1 * anatomy.vessel_scale)

    def attenuation(self) -> Map:
        """Return the line integral of attenuation, dimensionless."""
        soft = self._body + self.soft + self.vessels * self.outline - self.lung * (1 - self.density)
        result: Map = np.maximum(soft, 0) * np.float32(MU_SOFT) + self.bone * np.float32(MU_BONE) + self.metal
        return result

    def _diaphragm(self) -> Map:
        grid, anatomy = self.grid, self.anatomy
        dome = 0.5 * (anatomy.dome_y_left + anatomy.dome_y_right)
        u = grid.x / np.float32(0.5 * anatomy.chest_depth)
        result: Map = (dome - 4 + np.where(u > -0.3, 32 * np.abs(u + 0.3) ** 2.1, 16 * (u + 0.3) ** 2)).astype(
            np.float32
        )
        return result

    def _lung(self) -> Map:
        grid, anatomy = self.grid, self.anatomy
        middle, half = 0.5 * (self.front + self.back), 0.5 * (self.back - self.front)
        inside = half_chord(np.abs((grid.x - middle) / np.maximum(half, 1)) ** 2.6)
        rise = np.clip((anatomy.widest_y - grid.y) / (anatomy.widest_y - anatomy.apex_y), 0, 1)
        width = 1.5 * anatomy.chest_half_width * (0.35 + 0.65 * np.sqrt(1 - rise**2))
        lung = (width * ramp(grid.y - anatomy.apex_y + 2, 8) * inside).astype(np.float32)
        second = self.base + (anatomy.dome_y_left - anatomy.dome_y_right)
        lung *= 0.5 * (ramp(self.base - grid.y, 4) + ramp(second - grid.y, 4))
        central = np.exp(-(((grid.x - 2) / 34) ** 2 + ((grid.y + 18) / 62) ** 2))
        upper = np.exp(-(((grid.x - 6) / 40) ** 2)) * ramp(-95 - grid.y, 50)
        lung *= 1 - 0.24 * central - 0.45 * upper
        lung -= self.heart * np.float32(0.46 * anatomy.chest_half_width)
        result: Map = np.maximum(lung, 0)
        return result

    def _soft(self, rng: np.random.Generator) -> Map:
        grid, anatomy = self.grid, self.anatomy
        wall, heavy = anatomy.wall, anatomy.habitus
        half = 0.5 * anatomy.chest_depth
        front = grid.column(
            [-190, -150, -110, -50, 40, 190],
            -np.array([48, 44, half * 0.8 + wall, half + wall + 4, half + wall + 6, half + wall + 26 * heavy]),
        )
        front -= anatomy.breast * np.exp(-(((grid.y - 40) / 36) ** 2))
        back = grid.column(
            [-190, -150, -100, 0, 80, 190],
            np.array([48, 66, half + wall + 16, half + wall + 26, half + wall + 22, half + wall + 6]),
        )
        middle, extent = 0.5 * (front + back), 0.5 * (back - front)
        width = grid.column([-190, -140, -100, -50, 60, 190], [190, 285, 310, 275, 262, 275]) + 1.4 * wall
        self._body: Map = (width * half_chord(np.abs((grid.x - middle) / extent) ** 3.0)).astype(np.float32)
        soft = tube(grid, [(-6, -200), (4, -120), (14, -34)], 8) * np.float32(-1.0)
        arch = smooth_path([(-18, -28), (-10, -56), (14, -66), (34, -48), (44, 20), (46, 90)])
        soft += 0.55 * tube(grid, arch, 9.5)
        soft += 14 * half_chord(ellipse(grid, (2, -10), (15, 13)))
        raised = [(half * 0.1, -150), (-60, -166), (-150, -150 + float(rng.normal(0, 14)))]
        soft += 1.1 * tube(grid, smooth_path(raised), 38)
        if anatomy.gas_bubble:
            bubble = half_chord(ellipse(grid, (8, anatomy.dome_y_left + 30), (30, anatomy.gas_bubble)))
            soft -= 60 * bubble * ramp(grid.y - self.base - 8, 4)
        return np.asarray(soft, dtype=np.float32)

    def _bone(self) -> Map:
        grid, anatomy = self.grid, self.anatomy
        column = self.back - 20
        phase = (grid.y + 190 + 0.12 * (grid.x - 70)) / 23.5
        within = np.abs(phase - np.round(phase)) * 2
        plates = ramp(within - 0.2, 0.14) * (0.75 + 0.6 * np.exp(-(((within - 0.3) / 0.1) ** 2)))
        body = 6.5 * half_chord(np.abs((grid.x - column) / 15.5) ** 6) * plates
        arches = 6 * np.exp(-(((grid.x - column - 25) / 8) ** 2)) * (0.4 + 0.6 * ramp(within - 0.5, 0.4))
        bone = body + arches
        offset = grid.y + anatomy.apex_y * -1 + 8 - 0.62 * (60 - grid.x) * -1 - 0.0022 * (grid.x - 60) ** 2
        index = np.clip(np.round(offset / anatomy.rib_spacing), 2, 12)
        rim = np.abs(np.abs(offset - index * anatomy.rib_spacing) - 4.6)
        inside = ramp(self.back + 4 - grid.x, 6) * ramp(grid.x - self.front - 10, 40)
        bone += 2.0 * ramp(1.7 - rim, 2) * inside * (0.35 + 0.65 * ramp(grid.x - 20, 70))
        sternum = smooth_path([(float(self._front_at(y)) - 7, y) for y in (-88, -50, 0, 34)])
        bone += 0.35 * tube(grid, sternum, 5)
        return np.asarray(bone, dtype=np.float32)

    def _front_at(self, y: float) -> np.float32:
        return np.float32(np.interp(y, self.grid.y[:, 0], self.front[:, 0]))


def _heart(anatomy: Anatomy) -> tuple[tuple[float, float], tuple[float, float]]:
    depth = 2 * anatomy.chest_half_width * anatomy.cardiothoracic_ratio
    radius = 0.44 * depth
    dome = 0.5 * (anatomy.dome_y_left + anatomy.dome_y_right)
    return (-0.5 * anatomy.chest_depth + 0.86 * radius, dome - 0.66 * radius), (1.08 * radius, 0.84 * radius)
