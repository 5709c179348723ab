"""Probabilities of findings read off the model's own likelihoods, beside other sources of them.

The likelihood of a sentence that states a finding, given the film, over its mean likelihood given other patients'
films, is by Bayes' rule how much the film speaks for what the sentence says. Averaged over the ways the training
reports word a finding, and times the finding's frequency, it is the probability of the finding. What is not to be seen
goes mostly unsaid in reports, so no denial is needed. Frequencies and mean likelihoods come from patients who are not
judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, logsumexp

from radlet.core.console import Progress
from radlet.core.records import OBSERVATIONS, Example, Split, State
from radlet.evaluation.faithfulness import Asking, Reader
from radlet.evaluation.pictures import draw_rows
from radlet.evaluation.readings import read_reports, text_observations
from radlet.evaluation.scoring import MODEL
from radlet.evaluation.wordings import Wording, positive_wordings
from radlet.metrics.base import Floats

if TYPE_CHECKING:
    from radlet.retrieval.embedding import Embedder

LEAST = 1e-4
"""Probabilities stay so far from 0 and 1: no sentence makes a finding certain."""
_ROWS = 16
"""Reports whose likelihoods are asked for at once."""


@dataclass(frozen=True)
class JudgedRows:
    """Reports to judge, with what the model wrote for them, and reports to fit on.

    Attributes:
        judged: The rows that are judged.
        drafts: One for each of them.
        fitted: Rows of other patients.
    """

    judged: Sequence[Example]
    drafts: Sequence[str]
    fitted: Sequence[Example]


def rows_to_fit_on(
    others: Mapping[Split, Sequence[Example]], judged: Split, count: int, seed: int
) -> tuple[Split, list[Example]]:
    """Return rows that are not judged, and their split; no rows where there are none.

    Args:
        others: Rows by split, the wanted split first.
        judged: The split that is judged.
        count: So many rows at most.
        seed: Of the draw.
    """
    for split, rows in others.items():
        if rows and split != judged:
            return split, draw_rows(rows, count, seed)
    return judged, []


@dataclass(frozen=True)
class Forecast:
    """Log-odds of each observation in each report, (reports, observations), as one source gives them.

    Attributes:
        judged: Of the reports that are judged.
        fitted: Of those that scaling is fitted on; None where the log-odds are to be taken as they are.
    """

    judged: Floats
    fitted: Floats | None = None


@dataclass(frozen=True)
class Evidence:
    """What calibration is measured from.

    Attributes:
        observations: Of the columns.
        present: Of the judged reports, (reports, observations) of 1, 0 or NaN for unknown.
        present_fitted: The same of the reports that scaling is fitted on.
        drafted: Whether the draft names it, (reports, observations) of 1 or 0.
        forecasts: Source -> its log-odds; `MODEL` is one of them.
        against: "truth" or "report".
    """

    observations: tuple[str, ...]
    present: Floats
    present_fitted: Floats
    drafted: Floats
    forecasts: Mapping[str, Forecast]
    against: str


class FindingProbabilities:
    """Read probabilities off likelihoods.

    Args:
        task: What is asked.
        wordings: Sentences that state each observation, from the training reports.
        batch_size: Sentences read at once.
    """

    def __init__(self, task: Asking, wordings: Mapping[str, Sequence[Wording]], batch_size: int) -> None:
        self._task, self._batch_size = task, batch_size
        self.wordings = {name: wordings[name] for name in OBSERVATIONS if wordings.get(name)}
        self.observations = tuple(self.wordings)
        self._texts = list(dict.fromkeys(one.text for several in self.wordings.values() for one in several))

    def gather(self, reader: Reader, rows: JudgedRows, encoder: "Embedder | None", progress: Progress) -> Evidence:
        """Return the evidence of the model, its drafts, the frequencies and, where it knows them all, the encoder.

        Raises:
            DataError: A film cannot be read.
        """
        exact = all(row.truth is not None for row in (*rows.judged, *rows.fitted))
        present, fitted = (_present(some, self.observations, exact) for some in (rows.judged, rows.fitted))
        known = ~np.isnan(fitted)
        frequency = (np.nansum(fitted, axis=0) + 0.5) / (known.sum(axis=0) + 1)  # never 0 or 1
        read = self._likelihoods(reader, [*rows.fitted, *rows.judged], progress)
        usual, own = read[: len(rows.fitted)], read[len(rows.fitted) :]
        mean = logsumexp(usual, axis=0) - np.log(len(usual))
        states = read_reports(rows.drafts, "observations")
        drafted = np.array(
            [[state.get(name) is State.POSITIVE for name in self.observations] for state in states], np.float64
        )
        forecasts = {
            MODEL: Forecast(self._log_odds(own - mean, frequency), self._log_odds(usual - mean, frequency)),
            "prevalence": Forecast(np.tile(logit(frequency), (len(rows.judged), 1))),
            "draft": Forecast(logit(np.clip(drafted, LEAST, 1 - LEAST))),
        }
        if encoder is not None and set(self.observations) <= set(encoder.card.label_names):
            head = (_label_head(encoder, some, self.observations) for some in (rows.judged, rows.fitted))
            forecasts["encoder"] = Forecast(*head)
        return Evidence(self.observations, present, fitted, drafted, forecasts, "truth" if exact else "report")

    def _likelihoods(self, reader: Reader, rows: Sequence[Example], progress: Progress) -> Floats:
        """Return the log-likelihood of each sentence as the beginning of each report, (rows, sentences)."""
        parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
        found = []
        for part in progress.track(parts, "likelihoods", len(parts)):
            requests = [self._task.request(row, row.image_paths) for row in part]
            asked = [request for request in requests for _ in self._texts]
            read = reader.log_likelihoods(asked, self._texts * len(requests), batch_size=self._batch_size)
            found.append(read[:, 0].reshape(len(requests), len(self._texts)))
        return np.concatenate(found)

    def _log_odds(self, log_ratios: Floats, frequency: Floats) -> Floats:
        """Return log-odds of each observation from the log-likelihood ratios of the sentences.

        The product of frequency and ratio may pass 1, as both are estimates: it is taken for odds, which keeps the
        order and, for rare findings, the value.
        """
        place = {text: column for column, text in enumerate(self._texts)}
        columns = [
            logsumexp(log_ratios[:, [place[one.text] for one in several]], axis=1, b=[one.share for one in several])
            for several in self.wordings.values()
        ]
        return np.stack(columns, axis=1) + np.log(frequency)


def training_wordings(training: Sequence[Example], count: int) -> dict[str, tuple[Wording, ...]]:
    """Return the wordings of the training reports."""
    return positive_wordings((example.target for example in training if example.target), count)


def _present(rows: Sequence[Example], observations: Sequence[str], exact: bool) -> Floats:
    """Return what is there: by the truth, or by the report, whose uncertain mentions are unknown."""
    values = {State.POSITIVE: 1.0, State.UNCERTAIN: np.nan}
    table = []
    for row in rows:
        if exact:
            found = {finding.observation for finding in row.truth or ()}
            table.append([float(name in found) for name in observations])
        else:
            states = text_observations(row.target or "")
            table.append([values.get(states.get(name, State.UNMENTIONED), 0.0) for name in observations])
    return np.array(table, np.float64).reshape(-1, len(observations))


def _label_head(encoder: "Embedder", rows: Sequence[Example], observations: Sequence[str]) -> Floats:
    """Return log-odds of the mean over the films of each row."""
    films = [Path(path) for row in rows for path in row.image_paths]
    columns = [encoder.card.label_names.index(name) for name in observations]
    probabilities: NDArray[np.float32] = encoder.read_films(films)[1][:, columns]
    ends = np.cumsum([len(row.image_paths) for row in rows])[:-1]
    means = [part.mean(axis=0) for part in np.split(probabilities, ends)]
    return np.asarray(logit(np.clip(np.array(means, np.float64), LEAST, 1 - LEAST)))
