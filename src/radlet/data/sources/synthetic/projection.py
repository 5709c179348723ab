"""From attenuation to a displayed film: exposure, scatter, quantum noise, film curve, positioning, side marker.

Beer-Lambert: primary = exp(-sum of mu x thickness). Display is inverted log exposure, so dense is bright.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from radlet.data.sources.synthetic.canvas import Canvas, Map


@dataclass(frozen=True)
class Style:
    """How one kind of scanner and its processing render the same exposure.

    Attributes:
        scatter: Scatter relative to the primary radiation, before the grid's effect is seen as haze.
        gamma: Exponent of the tone curve; above 1 darkens the lungs.
        contrast: Steepness of the film's S-curve; 0 is linear.
        enhancement: Share of the low frequencies that processing removes.
        sharpening: Gain of the fine detail.
        border: Whether the collimator's edge shows as a dark frame.
    """

    scatter: float
    gamma: float
    contrast: float
    enhancement: float
    sharpening: float
    border: bool


STYLES: Mapping[str, Style] = {
    "film": Style(scatter=0.035, gamma=0.9, contrast=1.0, enhancement=0.10, sharpening=0.0, border=False),
    "digital": Style(scatter=0.02, gamma=0.85, contrast=0.4, enhancement=0.38, sharpening=0.5, border=True),
}


_BODY = 1.2
"""Attenuation above which a ray has passed through the trunk."""


_LEVELS = 2048
"""Exposure levels between the darkest and the brightest ray of an ideal window."""


@dataclass(frozen=True)
class Pose:
    """Where the body lies on the film: rotation in degrees, shift in mm, magnification."""

    rotation: float
    shift: tuple[float, float]
    scale: float


def sample_pose(rng: np.random.Generator, view: str) -> Pose:
    """Draw the patient's position; AP films are placed less carefully."""
    spread = 1.5 if view == "AP" else 1.0
    return Pose(
        rotation=float(rng.normal(0, 1.2) * spread),
        shift=(float(rng.normal(0, 4) * spread), float(rng.normal(0, 5) * spread)),
        scale=float(rng.uniform(0.96, 1.07)),
    )


def placed(image: Map, grid: Canvas, pose: Pose) -> Map:
    """Move a map computed in the body's frame to where the body lies on the film (bilinear, edges repeated)."""
    return np.asarray(_moved(image, grid, pose, Image.Resampling.BILINEAR), dtype=np.float32)


def placed_mask(region: NDArray[np.bool_], grid: Canvas, pose: Pose) -> NDArray[np.uint8]:
    """Move a region as `placed` moves the film; returns 255 inside."""
    return np.array(_moved(region * np.uint8(255), grid, pose, Image.Resampling.NEAREST))


def _moved(image: NDArray[Any], grid: Canvas, pose: Pose, resampling: Image.Resampling) -> Image.Image:
    angle = np.deg2rad(pose.rotation)
    cos, sin = np.cos(angle) / pose.scale, np.sin(angle) / pose.scale
    margin = grid.size_px // 8
    middle = grid.size_px / 2
    x, y = middle + pose.shift[0] / grid.px_mm, middle + pose.shift[1] / grid.px_mm
    back = (cos, sin, middle + margin - cos * x - sin * y, -sin, cos, middle + margin + sin * x - cos * y)
    padded = Image.fromarray(np.pad(image, margin, mode="edge"))
    return padded.transform((grid.size_px, grid.size_px), Image.Transform.AFFINE, back, resampling)


def expose(attenuation: Map, grid: Canvas, style: Style, rng: np.random.Generator, noise: float) -> NDArray[np.uint8]:
    """Turn attenuation into 8-bit display grey (H, W), bright = dense.

    Args:
        attenuation: Line integrals, dimensionless.
        grid: The film's grid.
        style: Scanner and processing.
        rng: Generator of exposure and noise.
        noise: 0 for none; 1 is a usual exposure.
    """
    primary = np.exp(-attenuation)
    signal = primary + style.scatter * float(np.exp(rng.normal(0, 0.2))) + 0.18 * _blurred(primary, grid, 30)
    log_signal = np.log(signal)
    if noise:
        # Quantum noise: the variance of the count equals the count, so that of its logarithm is its inverse.
        sigma = np.float32(noise * 0.0026 * float(np.exp(rng.normal(0, 0.3))) / grid.px_mm)
        log_signal += rng.standard_normal(signal.shape, dtype=np.float32) * sigma / np.sqrt(signal)
    density = -log_signal
    density -= style.enhancement * _blurred(density, grid, 26)
    if style.sharpening:
        density += style.sharpening * (density - gaussian_filter(density, max(2.2 / grid.px_mm, 0.5), truncate=2))
    # The window is set by what lies behind the body, as automatic exposure does; the air around it turns black.
    size = grid.size_px
    middle = (slice(size // 8, -size // 8, 3), slice(size // 6, -size // 6, 3))
    body = density[middle][attenuation[middle] > _BODY]
    return _tone(density, body, style, rng)


def _tone(density: Map, body: Map, style: Style, rng: np.random.Generator) -> NDArray[np.uint8]:
    low, high = np.percentile(body, (5, 98))
    dark, bright = 0.2 + rng.uniform(-0.06, 0.06), 0.88 + rng.uniform(-0.05, 0.05)
    scale = (bright - dark) / max(float(high - low), 1e-3) * _LEVELS
    level = density * np.float32(scale) + np.float32(dark * _LEVELS - low * scale)
    curve = _film_curve(style, style.gamma * float(np.exp(rng.normal(0, 0.07))))
    film: NDArray[np.uint8] = curve[np.clip(level, 0, len(curve) - 1).astype(np.uint16)]
    return film


def _film_curve(style: Style, gamma: float) -> NDArray[np.uint8]:
    """Return display grey by exposure level; above the top level the film is saturated."""
    grey = np.minimum(np.arange(int(1.06 * _LEVELS)) / (1.06 * _LEVELS), 1) ** gamma
    grey += 0.45 * style.contrast * (grey * grey * (3 - 2 * grey) - grey)
    return (grey * 255 + 0.5).astype(np.uint8)


def finish(film: NDArray[np.uint8], view: str, style: Style, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add what surrounds the body: the collimator's frame and a side marker.

    The marker says which side it lies on and is drawn independently of any finding.
    """
    size = film.shape[0]
    if style.border and rng.random() < 0.5:
        edge = max(int(size * rng.uniform(0.008, 0.03)), 1)
        film[:edge] = film[-edge:] = 8
        film[:, :edge] = film[:, -edge:] = 8
    if rng.random() < 0.8:
        left = rng.random() < 0.6
        stamp = _marker("L" if left else "R", max(size // 18, 7))
        row = int(size * rng.uniform(0.04, 0.09))
        column = int(size * (rng.uniform(0.86, 0.91) if left or view == "LATERAL" else rng.uniform(0.04, 0.08)))
        patch = film[row : row + stamp.shape[0], column : column + stamp.shape[1]]
        np.maximum(patch, stamp[: patch.shape[0], : patch.shape[1]], out=patch)
    return film


@lru_cache(maxsize=8)
def _marker(letter: str, height: int) -> NDArray[np.uint8]:
    image = Image.new("L", (3 * height // 4 + 1, height))
    pen = ImageDraw.Draw(image)
    w, h = image.width - 2, height - 1
    strokes = {
        "L": [(1, 0, 1, h), (1, h, w, h)],
        "R": [(1, 0, 1, h), (1, 0, w, 0), (w, 0, w, h // 2), (1, h // 2, w, h // 2), (1, h // 2, w, h)],
    }
    for stroke in strokes[letter]:
        pen.line(stroke, fill=245, width=max(height // 7, 1))
    return np.asarray(image)


def _blurred(image: Map, grid: Canvas, sigma_mm: float) -> Map:
    """Blur by much more than a pixel, on a coarser grid because nothing finer survives."""
    step = max(grid.size_px // 32, 1)
    size = grid.size_px // step * step
    coarse = image[:size, :size].reshape(size // step, step, size // step, step).mean(axis=(1, 3))
    coarse = gaussian_filter(coarse, sigma_mm / (grid.px_mm * step), mode="nearest")
    spread = Image.fromarray(coarse).resize((grid.size_px, grid.size_px), Image.Resampling.BILINEAR)
    return np.asarray(spread, dtype=np.float32)
