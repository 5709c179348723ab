"""Draws the films of the scorecard's page: with drafts, with where the model looked, and with the boxes of findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example
from radlet.data.images import read_film, resize_film
from radlet.evaluation.grounding import DRAWN, Gaze
from radlet.evaluation.grounding_pictures import GroundedPicture, boxed_uri
from radlet.evaluation.marks import mark_draft, marked_phrases
from radlet.evaluation.pictures import Overlay, Picture, film_uri, overlay_uri
from radlet.evaluation.scoring import MODEL, Answers
from radlet.evaluation.tasks.base import Task
from radlet.inference.attention import find_phrase
from radlet.inference.drafter import Drafter

_PICTURE_PX = 336
_MAX_OVERLAYS = 2


@dataclass(frozen=True)
class Artist:
    """Draws films with what is said of them.

    Attributes:
        task: What was asked.
        drafter: The model.
        judged: The rows that were asked.
        answers: What was answered.
    """

    task: Task
    drafter: Drafter
    judged: Sequence[Example]
    answers: Answers

    def grounded(self, gaze: Gaze) -> GroundedPicture:
        """Draw the film of a case with its boxes, and with the map that is drawn."""
        case, pointing = gaze.case, gaze.pointing[DRAWN]
        pixels = self._film(case.row)
        phrase = self.answers.systems[MODEL][case.row][slice(*case.span)]
        film, overlay = boxed_uri(pixels, case.boxes), boxed_uri(pixels, case.boxes, gaze.maps[DRAWN])
        return GroundedPicture(case.row + 1, phrase, film, overlay, pointing.hit > 0, pointing.share, pointing.area)

    def _film(self, row: int) -> NDArray[np.uint8]:
        """Return one row's first film, as the model saw it but larger."""
        settings = self.drafter.image_settings.model_copy(update={"size_px": _PICTURE_PX})
        return resize_film(read_film(Path(self.judged[row].image_paths[0])).pixels, settings)

    def picture(self, row: int, with_attention: bool) -> Picture:
        """Draw one row's first film, as the model saw it but larger, and where it looked."""
        example = self.judged[row]
        draft, reference = self.answers.systems[MODEL][row], self.answers.references[row]
        pixels = self._film(row)
        overlays: list[Overlay] = []
        phrases = marked_phrases(mark_draft(draft, reference))[:_MAX_OVERLAYS] if with_attention else []
        if phrases:
            spans = [find_phrase(draft, phrase) for phrase in phrases]
            maps = self.drafter.attention(self.task.request(example, example.image_paths), draft, spans)
            overlays = [
                Overlay(phrase, overlay_uri(pixels, one.weighted)) for phrase, one in zip(phrases, maps, strict=True)
            ]
        return Picture(row + 1, film_uri(pixels), reference, draft, tuple(overlays), example.question)
