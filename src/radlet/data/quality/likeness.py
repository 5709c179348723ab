"""How alike two films are: a coarse picture to search by, and a fine one by which a match is confirmed.

Chest films look alike when they are blurred, so the coarse picture only finds candidates; what the fine one compares is
structure smaller than a rib, after the best shift and stretch, so that a copy that was cut at the edges still fits.
Both are made of the ranks of the greys: no window, exposure or curve changes them.
"""

import base64
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage, stats

FINE = 48
"""Side of the picture of the fine structure in pixels."""
_FREQUENCIES = 6
DESCRIPTOR = _FREQUENCIES**2 - 1
_SEARCH_SIDE = 64
_FINE_SIGMA = 2.5
"""Structure wider than this many pixels of the fine picture is taken away."""
_LOCAL_SIGMA = 6.0
_LOCAL_FLOOR = 0.02
_STEPS = 30
"""Steps of the stored fine structure in its local standard deviation; a byte holds four of these either way."""
_MAX_SHIFT = 4
_STRETCHES = (0.92, 0.96, 1.0, 1.04, 1.08)
_MAX_SQUEEZE = 1.09
"""Most that one axis may be stretched relative to the other."""
_HANN = np.sqrt(np.outer(*(np.hanning(FINE + 2)[1:-1],) * 2))
_PHASE = np.where(np.arange(_FREQUENCIES**2) % _FREQUENCIES % 2, -1.0, 1.0)[1:].astype(np.float32)
"""Sign that mirroring gives to each frequency."""

Detail = NDArray[np.complex64]
"""Spectrum of the fine structure of a film."""


def describe(grey: NDArray[np.float32]) -> tuple[str, str]:
    """Return the coarse and the fine picture of a small film (0..1), as text; two empty ones for a flat film."""
    image = Image.fromarray(grey)
    ranks = _ranks(np.asarray(image.resize((_SEARCH_SIDE, _SEARCH_SIDE), Image.Resampling.BOX)))
    coarse = fft.dctn(ranks, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    length = np.linalg.norm(coarse)
    if length < 1e-6:
        return "", ""
    fine = _fine_structure(np.asarray(image.resize((FINE, FINE), Image.Resampling.BOX)))
    return _text((coarse / length).astype(np.float32)), _text(
        np.rint(np.clip(_STEPS * fine, -127, 127)).astype(np.int8)
    )


def read_descriptor(text: str) -> NDArray[np.float32]:
    """Return the descriptor (35,) of unit length."""
    return np.frombuffer(base64.b64decode(text), np.float32)


def read_fine(text: str) -> NDArray[np.int8]:
    """Return the fine picture (48, 48)."""
    return np.frombuffer(base64.b64decode(text), np.int8).reshape(FINE, FINE)


def mirrored(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the descriptors (..., 35) that the films would have with left and right exchanged."""
    return descriptors * _PHASE


def detail(fine: NDArray[np.int8]) -> Detail:
    """Return the spectrum of a fine picture, at unit energy."""
    return np.asarray(fft.rfft2(_unit(fine.astype(np.float32))))


def stretched_details(fine: NDArray[np.int8]) -> Detail:
    """Return the spectra of the fine picture under each stretch, (stretches, ...)."""
    image = Image.fromarray(fine.astype(np.float32))
    return np.asarray(fft.rfft2(np.stack([_unit(_stretch(image, *pair)) for pair in _PAIRS])))


def likeness(first: Detail, second: Detail) -> float:
    """Return the correlation at the best shift, -1..1; of the best stretch where `first` has several."""
    correlation = fft.irfft2(first * second.conj(), s=(FINE, FINE))
    near = np.r_[0 : _MAX_SHIFT + 1, -_MAX_SHIFT:0]
    return float(np.max(correlation[..., near, :][..., near]))


_PAIRS = [
    (x, y) for x, y in product(_STRETCHES, _STRETCHES) if max(x / y, y / x) < _MAX_SQUEEZE
]  # (stretch of the columns, of the rows)


def _ranks(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(stats.rankdata(grey, method="average").reshape(grey.shape) / grey.size - 0.5)


def _fine_structure(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return structure smaller than a rib, as strong in the lungs as in the middle."""
    ranks = _ranks(grey)
    fine = ranks - ndimage.gaussian_filter(ranks, _FINE_SIGMA)
    around = np.sqrt(ndimage.gaussian_filter(fine * fine, _LOCAL_SIGMA))
    return np.asarray(fine / (around + _LOCAL_FLOOR))


def _unit(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    shown = fine * _HANN
    shown = shown - shown.mean()
    # Single precision halves the time of the transforms, and of four digits none is lost.
    return np.asarray(shown / max(float(np.linalg.norm(shown)), 1e-9), np.float32)


def _stretch(fine: Image.Image, x: float, y: float) -> NDArray[np.float32]:
    left, top = (FINE * (1 - x) / 2, FINE * (1 - y) / 2)
    box = (left, top, FINE - left, FINE - top)
    turned = fine.transform((FINE, FINE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(turned, np.float32)


def _text(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()
