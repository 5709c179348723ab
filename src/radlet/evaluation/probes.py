"""Change what the model sees, draft again, and count what the drafts did: the probes of `Looking`.

A blank or noise film should take the findings away, a mirrored film should turn their sides, a box painted over should
take away what it held; a shift by one pixel, a pass through JPEG and the question in other words should change nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radlet.core.records import Box, Example
from radlet.evaluation import film_changes
from radlet.evaluation.film_changes import box_elsewhere, painted_over
from radlet.evaluation.probe_judges import JUDGES, Judge, positive_observations, vanished_findings
from radlet.evaluation.runner import Draft
from radlet.evaluation.scorecard import ProbeResult
from radlet.evaluation.tasks.base import ReportWriter, Task
from radlet.metrics.base import Floats
from radlet.metrics.resampling import Estimate, Interval, PatientResampler

if TYPE_CHECKING:
    from radlet.data.images import FilmChange
    from radlet.inference.drafter import DraftRequest

CONTROLS: Mapping[str, str] = {"occluded": "occluded_elsewhere"}
"""Probe -> the one that repeats it where it should not matter, on the same reports."""


@dataclass(frozen=True)
class Case:
    """One report of a probe: its row, what the model is asked instead, and how the answer is judged."""

    row: int
    request: "DraftRequest"
    judge: Judge


@dataclass(frozen=True)
class ProbeSettings:
    """How the probes are made.

    Attributes:
        max_drafts: Most drafts of one probe.
        seed: Of the reports drawn, of noise, and of boxes elsewhere.
        input_px: Side of the encoder's input, in whose pixels a film is shifted.
    """

    max_drafts: int
    seed: int
    input_px: int


class Probes:
    """Choose the reports of each probe and change their films.

    Args:
        task: What is asked.
        judged: The rows of the evaluation.
        drafts: What the model wrote for them as they are.
        settings: How the probes are made.
    """

    def __init__(self, task: Task, judged: Sequence[Example], drafts: Sequence[str], settings: ProbeSettings) -> None:
        self._task, self._judged, self._drafts, self._settings = task, judged, drafts, settings
        self._judges = JUDGES[task.reads]

    @property
    def asked(self) -> dict[str, tuple[list[Example], list[str]]]:
        """The rows of each probe, in the order of its drafts, and their references."""
        rows = {name: [self._judged[case.row] for case in cases] for name, cases in self.table.items()}
        return {name: (few, [self._task.reference(row) for row in few]) for name, few in rows.items()}

    def draft(self, name: str, model: ReportWriter, batch_size: int) -> Draft:
        """Return a function that drafts some rows of a probe, given by position."""
        cases = self.table[name]
        return lambda positions: model.draft([cases[i].request for i in positions], batch_size=batch_size)

    def results(
        self, drafts: Mapping[str, Sequence[str]], num_resamples: int, interval: Interval
    ) -> dict[str, ProbeResult]:
        """Judge the drafts of every probe, beside its control where it has one.

        Args:
            drafts: Probe -> its drafts, in order.
            num_resamples: Bootstrap resamples of the patients.
            interval: Kind of the intervals.
        """
        counts = {name: self._count(cases, drafts[name]) for name, cases in self.table.items()}
        results = {}
        for name, cases in self.table.items():
            if name in CONTROLS.values():
                continue
            patients = [self._judged[case.row].patient_id for case in cases]
            resampler = PatientResampler(patients, num_resamples, self._settings.seed, interval) if patients else None
            results[name] = _result(counts[name], counts.get(CONTROLS.get(name, "")), resampler)
        return results

    def _count(self, cases: Sequence[Case], texts: Sequence[str]) -> Floats:
        rows = [case.judge(self._drafts[case.row], text) for case, text in zip(cases, texts, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    @cached_property
    def table(self) -> dict[str, list[Case]]:
        """The cases of each probe, none where no draft or no film is fit for it."""
        judges = self._judges
        named = self._draw(row for row, text in enumerate(self._drafts) if judges.fit(text))
        sided = self._draw(row for row, text in enumerate(self._drafts) if judges.sided(text))
        every = self._draw(range(len(self._judged)))
        cases = {
            "blank": self._changed(named, lambda _: film_changes.blank, judges.vanished),
            "noise": self._changed(named, lambda row: film_changes.noise((self._settings.seed, row)), judges.vanished),
            "mirrored": self._changed(sided, lambda _: film_changes.mirrored, judges.turned),
            "shifted": self._changed(every, lambda _: film_changes.shifted(self._settings.input_px), judges.kept),
            "reencoded": self._changed(every, lambda _: film_changes.reencoded, judges.kept),
        }
        if self._task.paraphrases:
            cases["paraphrased"] = [self._paraphrased(number, row) for number, row in enumerate(every)]
        return cases | (self._occluded() if self._task.reads == "reports" else {})

    def _draw(self, rows: "Sequence[int] | Iterator[int]") -> list[int]:
        found = np.fromiter(rows, dtype=np.int64)
        if len(found) > self._settings.max_drafts:
            found = np.random.default_rng(self._settings.seed).permutation(found)[: self._settings.max_drafts]
        return [int(row) for row in np.sort(found)]

    def _request(self, row: int) -> "DraftRequest":
        return self._task.request(self._judged[row], self._judged[row].image_paths)

    def _changed(self, rows: Sequence[int], change: "Callable[[int], FilmChange]", judge: Judge) -> list[Case]:
        return [Case(row, self._with_change(row, change(row)), judge) for row in rows]

    def _with_change(self, row: int, change: "FilmChange") -> "DraftRequest":
        return replace(self._request(row), changes=(change,) * len(self._judged[row].image_paths))

    def _paraphrased(self, number: int, row: int) -> Case:
        wordings = self._task.paraphrases
        return Case(row, replace(self._request(row), wording=wordings[number % len(wordings)]), self._judges.differs)

    def _occluded(self) -> dict[str, list[Case]]:
        """Cover the boxes of one finding that was found, and boxes of the same size elsewhere."""
        places = {row: place for row in range(len(self._judged)) if (place := self._place(row))}
        rows = self._draw(iter(places))
        cases: dict[str, list[Case]] = {"occluded": [], "occluded_elsewhere": []}
        for row in rows:
            observation, covers, elsewhere = places[row]
            judge = partial(vanished_findings, among=frozenset({observation}))
            for name, boxes in (("occluded", covers), ("occluded_elsewhere", elsewhere)):
                changes = tuple(painted_over(one) for one in boxes)
                cases[name].append(Case(row, replace(self._request(row), changes=changes), judge))
        return cases

    def _place(self, row: int) -> tuple[str, list[list[Box]], list[list[Box]]] | None:
        """Return a finding that was found, its boxes on each film, and as many free places; None where there is none.

        All boxes of the observation are covered, as another finding of it would keep it in the draft.
        """
        example = self._judged[row]
        truth = example.truth or ()
        found = sorted(positive_observations(self._drafts[row]) & {finding.observation for finding in truth})
        draws = np.random.default_rng((self._settings.seed, row))
        for observation in draws.permutation(np.array(found, dtype=object)):
            covered: list[list[Box]] = []
            free: list[list[Box | None]] = []
            for path in example.image_paths:
                shown = [(finding.observation, finding.boxes.get(Path(path).stem)) for finding in truth]
                taken = [box for _, box in shown if box is not None]
                covered.append([box for name, box in shown if box is not None and name == observation])
                free.append([box_elsewhere(box, taken, (self._settings.seed, row)) for box in covered[-1]])
            places = [[box for box in boxes if box is not None] for boxes in free]
            # A finding without a box on any film cannot be covered; one without a free place has no control.
            if any(covered) and [len(boxes) for boxes in places] == [len(boxes) for boxes in covered]:
                return str(observation), covered, places
        return None


def _result(counts: Floats, control: Floats | None, resampler: PatientResampler | None) -> ProbeResult:
    if resampler is None:
        return ProbeResult(value=None, low=None, high=None, n=0, num_reports=0)
    share = _with_width(resampler.estimate(counts, _share), resampler.num_patients)
    beside: dict[str, Estimate] = {}
    if control is not None:
        beside["control"] = _with_width(resampler.estimate(control, _share), resampler.num_patients)
        both = np.concatenate([counts, control], axis=1)
        beside["difference"] = resampler.estimate(both, lambda t: _share(t[..., :2]) - _share(t[..., 2:]))
    cases = int(counts[:, 1].sum())
    return ProbeResult(value=share.value, low=share.low, high=share.high, n=cases, num_reports=len(counts), **beside)


def _with_width(share: Estimate, num_patients: int) -> Estimate:
    """Return a share on which all cases agree with the exact bound of a share (Clopper and Pearson 1934).

    Resamples of such cases agree too, so that the bootstrap would be certain of three cases. Patients are counted, as
    the cases of one may agree for that reason.
    """
    if share.value == 1:
        return Estimate(1.0, _TAIL ** (1 / num_patients), 1.0)
    if share.value == 0:
        return Estimate(0.0, 0.0, 1 - _TAIL ** (1 / num_patients))
    return share


_TAIL = 0.025


def _share(totals: Floats) -> Floats:
    done, cases = totals[..., 0], totals[..., 1]
    shares = np.full(np.shape(cases), np.nan)
    np.divide(done, cases, out=shares, where=cases > 0)
    return shares
