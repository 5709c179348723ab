"""Did the model look where the finding is? Attention maps of rightly drafted findings against their true boxes.

For each finding that the truth boxes and the draft names, the map of its phrase is judged by pointing (`pointing`)
and by what the phrase depends on (`faithfulness`), beside maps that know nothing of the film: its centre, where such
findings were in training, the map of another patient's film, chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.core.records import Box, Example, State
from radlet.data.images import read_run_film, shown_part
from radlet.data.observations import find_mentions
from radlet.evaluation.baselines import other_patients
from radlet.evaluation.faithfulness import Asking, Curves, Phrase, Reader, follow
from radlet.evaluation.grounding_result import Grounding, MapResult
from radlet.evaluation.pointing import TOLERANCE, Part, Pointing, box_prior, on_square, point
from radlet.metrics.base import Floats
from radlet.metrics.resampling import Estimate, Interval, PatientResampler, Score

if TYPE_CHECKING:
    from radlet.inference.attention import AttentionMaps, Span
    from radlet.inference.drafter import DraftRequest

DRAWN = "weighted_attention"
FOLLOWED = (DRAWN, "random")
"""Maps whose patches are greyed out and shown."""
_CENTRE_SPREAD = 0.25
"""Standard deviation, in sides of the film, of the map that looks at the centre."""
_MAX_PRIOR_STUDIES = 200
Weights = NDArray[np.floating[Any]]


class Gazer(Reader, Protocol):
    """What is needed of a drafter."""

    def attention(self, request: "DraftRequest", text: str, spans: "Sequence[Span]") -> "list[AttentionMaps]":
        """Return the maps of each span of a draft."""


@dataclass(frozen=True)
class Case:
    """One rightly drafted finding: where its phrase stands in the draft, and its boxes on the encoder's square."""

    row: int
    observation: str
    span: tuple[int, int]
    boxes: tuple[Box, ...]
    part: Part
    """Of the film that the square shows."""


@dataclass(frozen=True)
class Gaze:
    """What was found for one case: every map, how it points, and the curves of some."""

    case: Case
    maps: Mapping[str, Weights]
    pointing: Mapping[str, Pointing]
    curves: Mapping[str, Curves]


@dataclass(frozen=True)
class GroundingSettings:
    """How grounding is measured.

    Attributes:
        max_reports: Most reports looked into.
        max_followed: Most of them whose patches are greyed out and shown.
        seed: Of the reports drawn, of the other patients' films and of chance.
        batch_size: Changed films read at once.
    """

    max_reports: int
    max_followed: int
    seed: int
    batch_size: int


class Grounder:
    """Find the cases of an evaluation and look where the model looked.

    Args:
        task: What is asked.
        judged: The rows of the evaluation.
        drafts: What the model wrote for them.
        training: The rows whose boxes tell where findings usually are.
        settings: How it is measured.
    """

    def __init__(
        self,
        task: Asking,
        judged: Sequence[Example],
        drafts: Sequence[str],
        training: Sequence[Example],
        settings: GroundingSettings,
    ) -> None:
        self._task, self._judged, self._drafts = task, judged, drafts
        self._training, self._settings = training, settings
        self._priors: dict[tuple[str, Part, int], Floats] = {}

    def look(self, gazer: Gazer, progress: Progress) -> list[Gaze]:
        """Return what was found for each case, reports in order; the first case of some reports has curves.

        Raises:
            DataError: A film cannot be read.
        """
        cases = self._cases(gazer)
        if not cases:
            return []
        partners = other_patients([example.patient_id for example in self._judged], self._settings.seed)
        gazes: list[Gaze] = []
        followed = set(self._draws(list(cases))[: self._settings.max_followed])
        for row, own in progress.track(cases.items(), "grounding", len(cases)):
            gazes += self._look(gazer, own, int(partners[row]), row in followed)
        return gazes

    def _draws(self, rows: Sequence[int]) -> list[int]:
        return [int(row) for row in np.random.default_rng(self._settings.seed).permutation(np.array(rows, np.int64))]

    def _look(self, gazer: Gazer, cases: Sequence[Case], partner: int, followed: bool) -> Iterator[Gaze]:
        row = cases[0].row
        example, draft = self._judged[row], self._drafts[row]
        request = self._task.request(example, example.image_paths)
        others_films = self._task.request(example, self._judged[partner].image_paths)
        spans = [case.span for case in cases]
        looks = zip(gazer.attention(request, draft, spans), gazer.attention(others_films, draft, spans), strict=True)
        for number, (case, (own, other)) in enumerate(zip(cases, looks, strict=True)):
            side = len(own.weighted)
            chance = np.random.default_rng((self._settings.seed, row, number)).dirichlet(np.ones(side**2))
            maps: dict[str, Weights] = {
                DRAWN: own.weighted,
                "attention": own.raw,
                "relative_attention": own.relative,
                "shuffled_image": other.weighted,
                "box_prior": self._prior(case, side),
                "centre": _centre(side),
                "random": chance.reshape(side, side),
            }
            if not self._usual:  # no training finding has a box: an even map would pass for where findings usually are
                del maps["box_prior"]
            curves: dict[str, Curves] = {}
            if followed and number == 0:
                phrase = Phrase(draft[: case.span[0]].rstrip(), draft[: case.span[1]])
                some = {name: maps[name] for name in FOLLOWED}
                curves = follow(gazer, request, phrase, some, self._settings.batch_size)
            yield Gaze(case, maps, {name: _point(name, one, case.boxes) for name, one in maps.items()}, curves)

    def _cases(self, gazer: Gazer) -> dict[int, list[Case]]:
        """Return the cases of each report, of so many reports at most."""
        candidates = [row for row, example in enumerate(self._judged) if any(self._named(row, example))]
        found: dict[int, list[Case]] = {}
        for row in self._draws(candidates):
            if len(found) == self._settings.max_reports:
                break
            if cases := list(self._shown(row, gazer)):
                found[row] = cases
        return dict(sorted(found.items()))

    def _named(self, row: int, example: Example) -> Iterator[tuple[str, tuple[int, int], list[Box]]]:
        """Yield each observation with boxes on the first film that the draft names, and where it first does."""
        boxes = _boxes(example)
        seen = set()
        for mention in find_mentions(self._drafts[row]) if boxes else ():
            name = mention.observation
            if mention.state is State.POSITIVE and name in boxes and name not in seen:
                seen.add(name)
                yield name, (mention.start, mention.end), boxes[name]

    def _shown(self, row: int, gazer: Gazer) -> Iterator[Case]:
        example = self._judged[row]
        height, width = read_run_film(Path(example.image_paths[0])).shape
        part = shown_part(height, width, gazer.image_settings)
        for name, span, boxes in self._named(row, example):
            shown = [box for one in boxes if (box := on_square(one, part)) is not None]
            if shown:
                yield Case(row, name, span, tuple(shown), part)

    def _prior(self, case: Case, side: int) -> Floats:
        key = (case.observation, case.part, side)
        if key not in self._priors:
            usual = self._usual.get(case.observation, [])
            shown = [[box for one in some if (box := on_square(one, case.part)) is not None] for some in usual]
            self._priors[key] = box_prior([some for some in shown if some], side)
        return self._priors[key]

    @cached_property
    def _usual(self) -> dict[str, list[list[Box]]]:
        """The boxes of each observation on the first film of so many training studies at most."""
        usual: dict[str, list[list[Box]]] = {}
        for example in self._training:
            for name, boxes in _boxes(example).items():
                if len(usual.setdefault(name, [])) < _MAX_PRIOR_STUDIES:
                    usual[name].append(boxes)
        return usual


def describe_grounding(
    gazes: Sequence[Gaze], patients: Sequence[str], num_resamples: int, seed: int, interval: Interval
) -> Grounding | None:
    """Return the numbers of the scorecard; None where no finding was rightly drafted and boxed.

    Args:
        gazes: What was found.
        patients: Patient of each row of the evaluation.
        num_resamples: Bootstrap resamples of the patients.
        seed: Of the resamples.
        interval: Kind of the intervals.
    """
    if not gazes:
        return None
    resampler = PatientResampler([patients[gaze.case.row] for gaze in gazes], num_resamples, seed, interval)
    # A finding without curves adds nothing to them: their last column counts those that have them.
    rows = {
        name: np.array([(*gaze.pointing[name], *_areas(gaze, name)) for gaze in gazes], np.float64)
        for name in gazes[0].pointing
    }
    drawn = rows[DRAWN]

    def gain(other: Floats, score: Score) -> Estimate:
        width = drawn.shape[1]
        return resampler.estimate(
            np.concatenate([drawn, other], axis=1), lambda t: score(t[..., :width]) - score(t[..., width:])
        )

    return Grounding(
        drawn=DRAWN,
        num_findings=len(gazes),
        num_reports=len({gaze.case.row for gaze in gazes}),
        num_curves=sum(bool(gaze.curves) for gaze in gazes),
        area=float(drawn[:, _AREA].mean()),
        grid=len(gazes[0].maps[DRAWN]),
        tolerance=TOLERANCE,
        maps={name: _result(resampler, values, name in FOLLOWED) for name, values in rows.items()},
        pointing_gain={name: gain(values, _pointing) for name, values in rows.items() if name != DRAWN},
        faithfulness_gain={name: gain(rows[name], _faithfulness) for name in FOLLOWED if name != DRAWN},
    )


_HIT, _SHARE, _AREA, _IOU, _FINDINGS, _DELETION, _INSERTION, _FOLLOWED = range(8)


def _pointing(totals: Floats) -> Floats:
    return np.asarray(totals[..., _HIT] / totals[..., _FINDINGS])


def _faithfulness(totals: Floats) -> Floats:
    return _share_of(totals[..., _INSERTION] - totals[..., _DELETION], totals[..., _FOLLOWED])


def _result(resampler: PatientResampler, rows: Floats, followed: bool) -> MapResult:
    def mean(column: int, of: int = _FINDINGS) -> Estimate:
        return resampler.estimate(rows, lambda totals: _share_of(totals[..., column], totals[..., of]))

    curves = {}
    if followed:
        curves["deletion"], curves["insertion"] = mean(_DELETION, _FOLLOWED), mean(_INSERTION, _FOLLOWED)
        curves["faithfulness"] = resampler.estimate(rows, _faithfulness)
    return MapResult(pointing=mean(_HIT), lift=mean(_SHARE, _AREA), iou=mean(_IOU), **curves)


def _share_of(part: Floats, whole: Floats) -> Floats:
    shares = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _areas(gaze: Gaze, name: str) -> tuple[float, float, float]:
    return (*gaze.curves[name].areas, 1.0) if name in gaze.curves else (0.0, 0.0, 0.0)


def _point(name: str, weights: Weights, boxes: Sequence[Box]) -> Pointing:
    return point(weights, boxes, (0.5, 0.5) if name == "centre" else None)


def _centre(side: int) -> Floats:
    places = (np.arange(side) + 0.5) / side - 0.5
    weights = np.exp(-(places[:, None] ** 2 + places**2) / (2 * _CENTRE_SPREAD**2))
    return np.asarray(weights / weights.sum())


def _boxes(example: Example) -> dict[str, list[Box]]:
    """Return the boxes of each observation on the first film, whose name is its id."""
    film = Path(example.image_paths[0]).stem
    boxes: dict[str, list[Box]] = {}
    for finding in example.truth or ():
        if film in finding.boxes:
            boxes.setdefault(finding.observation, []).append(finding.boxes[film])
    return boxes
