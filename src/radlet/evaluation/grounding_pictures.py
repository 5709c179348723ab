"""Pictures of grounding for the page: a film with the true boxes, and beside it where the model looked."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from radlet.core.records import Box
from radlet.inference.overlay import blend_attention

_LINE = (126, 226, 255)


@dataclass(frozen=True)
class GroundedPicture:
    """One finding on the page.

    Attributes:
        row: Line of ``predictions.jsonl``, 1-based.
        phrase: Words of the draft.
        film: The film with the boxes, as a data URI.
        overlay: The film with the boxes and the map.
        hit: Whether the map's maximum is on the finding.
        share: Share of the map's weight inside the boxes.
        area: Share of the film inside them.
    """

    row: int
    phrase: str
    film: str
    overlay: str
    hit: bool
    share: float
    area: float


def boxed_uri(pixels: NDArray[np.uint8], boxes: Sequence[Box], weights: NDArray[np.floating[Any]] | None = None) -> str:
    """Return a film (S, S) with boxes, and with a map (rows, cols) below them if given, as a JPEG data URI."""
    weighed = None if weights is None else blend_attention(pixels, np.asarray(weights, np.float32))
    image = weighed or Image.fromarray(pixels).convert("RGB")
    pen = ImageDraw.Draw(image)
    side = len(pixels) - 1
    for box in boxes:
        pen.rectangle((box.x_min * side, box.y_min * side, box.x_max * side, box.y_max * side), outline=_LINE, width=2)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
