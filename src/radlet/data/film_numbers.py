"""What a film looks like in a few numbers: by them it is told whether films still are what a model was trained on."""

import numpy as np
from scipy import ndimage

from radlet.data.quality.aspect import Aspect
from radlet.data.quality.clipping import Clipping
from radlet.data.quality.contrast import Contrast
from radlet.data.quality.cropped import Cropped
from radlet.data.quality.margins import Margins
from radlet.data.quality.reduced import ReducedFilm
from radlet.data.quality.small import Small

FILM_NUMBERS: dict[str, str] = {
    "brightness": "mean grey of the middle, 0..1",
    "contrast": Contrast.unit,
    "clipping": Clipping.unit,
    "detail": "spread of the fine structure over that of all greys of the middle",
    "margins": Margins.unit,
    "side_px": Small.unit,
    "aspect": Aspect.unit,
    "chest": "probability of a chest film",
    "lateral": "probability of a lateral",
    "turned": "probability that the film is turned",
    "inverted": "probability that the film is a negative",
    "cropped": Cropped.unit,
}
"""Name -> what it is."""


def film_numbers(film: ReducedFilm) -> dict[str, float]:
    """Return the numbers of a film, to six digits."""
    middle = film.centre
    fine = middle - ndimage.uniform_filter(middle, 3, mode="nearest")
    numbers = {
        "brightness": middle.mean(),
        "contrast": Contrast().measure(film),
        "clipping": Clipping().measure(film),
        "detail": fine.std() / max(float(middle.std()), 1 / 255),
        "margins": Margins().measure(film),
        "side_px": Small().measure(film),
        "aspect": Aspect().measure(film),
        "chest": film.shares.chest,
        "lateral": film.shares.lateral,
        "turned": film.shares.turned,
        "inverted": film.inverted,
        "cropped": Cropped().measure(film),
    }
    return {name: float(f"{np.float64(number):.6g}") for name, number in numbers.items()}
