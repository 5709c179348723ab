"""Where the lungs of a frontal film lie, told by boxes that people drew on other films: what a planted cut removes.

Learnt anew at each run from the boxes of the set `covid`, and kept nowhere: nothing that is learnt from
these films may leave the machine. It takes no part in what radlet says of a film.
"""

import json

import numpy as np
from sklearn.kernel_ridge import KernelRidge

from radlet.core.records import ImageRecord
from radlet.data.images import read_film_bytes
from radlet.data.quality.reduced import reduce_film

FRAMES = 12
"""Frames in which each film is shown, the first as it is."""


def features_of(pixels):
    return reduce_film(ImageRecord(image_id="x", path=""), np.ascontiguousarray(pixels)).features


def box_of(row, shape):
    """Return the box around both lungs as (top, bottom, left, right), 0..1 of the film."""
    boxes = np.array(list(row["lung_boxes_xywh"].values()))
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    return np.array([low[1] / shape[0], high[1] / shape[0], low[0] / shape[1], high[0] / shape[1]])


def reframed(pixels, margins, mode):
    """Return the film with its frame moved outwards by shares of its sides (top, bottom, left, right), or inwards."""
    high, wide = pixels.shape
    moves = np.round(np.array(margins) * (high, high, wide, wide)).astype(int)
    (top, bottom, left, right), (over, under, before, after) = np.maximum(moves, 0), np.maximum(-moves, 0)
    padded = np.pad(pixels, ((top, bottom), (left, right)), mode=mode)
    return padded[over : padded.shape[0] - under, before : padded.shape[1] - after]


class LungBoxes:
    """Boxes of lungs, as learnt from films on which people drew them."""

    def __init__(self, data):
        rng, rows, boxes, films = np.random.default_rng(0), [], [], []
        marked = [
            json.loads(line)
            for split in ("train", "dev")
            for line in (data / "covid" / f"{split}.jsonl").open(encoding="utf-8")
        ]
        for number, row in enumerate(row for row in marked if row.get("lung_boxes_xywh")):
            pixels = read_film_bytes((data / "covid" / row["image"]).read_bytes()).pixels
            box = box_of(row, pixels.shape)
            for frame in range(FRAMES):
                top, bottom, left, right = margins = rng.uniform(-0.12, 0.15, 4) * (frame > 0)
                high, wide = 1 + top + bottom, 1 + left + right
                moved = [(box[0] + top) / high, (box[1] + top) / high, (box[2] + left) / wide, (box[3] + left) / wide]
                rows.append(features_of(reframed(pixels, margins, ("constant", "edge")[frame % 2])))
                boxes.append(moved)
                films.append(number)
        self._rows, self._boxes, self._films = np.array(rows), np.array(boxes), np.array(films)
        self._middle, self._spread = self._rows.mean(axis=0), self._rows.std(axis=0) + 1e-3
        self._model = self._fitted(np.ones(len(films), bool))

    def _fitted(self, used):
        model = KernelRidge(alpha=0.3, kernel="rbf", gamma=1 / 1500)
        return model.fit(self._scaled(self._rows[used]), self._boxes[used] - self._boxes.mean(axis=0))

    def _scaled(self, rows):
        return (rows - self._middle) / self._spread

    def box(self, pixels):
        """Return the box around the lungs as (top, bottom, left, right), 0..1 of the film."""
        return self._model.predict(self._scaled(features_of(pixels)[None]))[0] + self._boxes.mean(axis=0)

    def error(self):
        """Return the mean distance of each edge from the true one, by five parts of the films."""
        found = np.zeros_like(self._boxes)
        for part in range(5):
            held = self._films % 5 == part
            found[held] = self._fitted(~held).predict(self._scaled(self._rows[held])) + self._boxes.mean(axis=0)
        whole = np.arange(len(self._films)) % FRAMES == 0
        return np.abs(found - self._boxes)[whole].mean(axis=0)


def lost(box, side, share):
    """Return the share of the lungs' height or width that goes with a strip of the film at this side (0 to 3)."""
    low, high = box[:2] if side < 2 else box[2:]
    gone = share - low if side in (0, 2) else high - (1 - share)
    return gone / (high - low)
