"""The body of a synthetic patient as a few dozen lengths in millimetres; the views project it, findings disturb it.

Frame: origin at the middle of the film, x to the image's right (the patient's LEFT on a frontal film, the patient's
back on a lateral one), y down. Lengths are those at the detector.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Sex = Literal["F", "M"]


@dataclass(frozen=True)
class Anatomy:
    """Lengths in mm unless said otherwise; one value set per patient, adjusted per exam by `posed` and by findings."""

    sex: Sex
    age_years: int
    habitus: float
    """0 slim .. 1 heavy."""
    chest_half_width: float
    """Half the inner width of the rib cage at its widest."""
    chest_depth: float
    apex_y: float
    dome_y_right: float
    dome_y_left: float
    widest_y: float
    wall: float
    """Soft tissue outside the ribs."""
    cardiothoracic_ratio: float
    mediastinum_half_width: float
    aortic_knob: float
    breast: float
    """Thickness of a breast; 0 for none."""
    rib_spacing: float
    rib_phase: float
    rib_slope: float
    gas_bubble: float
    """Radius of the gas in the stomach; 0 for none."""
    vessel_scale: float
    seed: int
    """Seed of the vessel tree and of other details that stay with the patient."""


def sample_anatomy(rng: np.random.Generator, sex: Sex, age_years: int) -> Anatomy:
    """Draw a patient's build.

    Args:
        rng: The patient's generator.
        sex: Sets breast, size and rib cage.
        age_years: Widens heart and aorta a little within the normal range.
    """
    man = sex == "M"
    habitus = float(rng.beta(2.0, 2.6))
    half_width = float(np.clip(rng.normal(133 if man else 122, 7), 106, 148))
    dome = float(rng.normal(70, 8))
    aging = (age_years - 20) / 70
    return Anatomy(
        sex=sex,
        age_years=age_years,
        habitus=habitus,
        chest_half_width=half_width,
        chest_depth=float(rng.normal(176 if man else 160, 9) + 22 * habitus),
        apex_y=float(rng.normal(-138, 6)),
        dome_y_right=dome,
        dome_y_left=dome + float(rng.normal(11, 4)),
        widest_y=float(rng.normal(62, 8)),
        wall=float(12 + 28 * habitus + rng.uniform(0, 5)),
        cardiothoracic_ratio=float(np.clip(rng.normal(0.425 + 0.02 * aging, 0.018), 0.37, 0.47)),
        mediastinum_half_width=float(np.clip(rng.normal(20 + 2 * aging, 1.6), 16, 25)),
        aortic_knob=float(rng.normal(13 + 4 * aging, 1.2)),
        breast=0.0 if man else float(rng.uniform(12, 30) + 26 * habitus),
        rib_spacing=float(rng.normal(21.5, 1.0)),
        rib_phase=float(rng.uniform(0, 1)),
        rib_slope=float(rng.normal(1.0, 0.15)),
        gas_bubble=float(rng.uniform(12, 24)) if rng.random() < 0.65 else 0.0,
        vessel_scale=float(rng.normal(1.0, 0.1)),
        seed=int(rng.integers(2**31)),
    )


def posed(anatomy: Anatomy, view: str, inspiration: float) -> Anatomy:
    """Return the body as one exam finds it.

    An AP film is taken nearer and lying: the heart is magnified and the diaphragms stand higher.

    Args:
        anatomy: The patient.
        view: PA, AP or LATERAL.
        inspiration: Diaphragm displacement in mm, positive for a deeper breath.
    """
    supine = view == "AP"
    drop = inspiration - (12 if supine else 0)
    return replace(
        anatomy,
        dome_y_right=anatomy.dome_y_right + drop,
        dome_y_left=anatomy.dome_y_left + drop,
        cardiothoracic_ratio=anatomy.cardiothoracic_ratio * (1.06 if supine else 1.0),
        mediastinum_half_width=anatomy.mediastinum_half_width * (1.06 if supine else 1.0),
        gas_bubble=0.0 if supine else anatomy.gas_bubble,
    )
