"""The four baselines a report model has to beat before its scores mean that it looks at the film.

`constant` writes one training report for everyone; `no_image` is a model tuned without films (drafted by the stage);
`shuffled_image` is the model given another patient's film; `nearest_neighbour` copies the report of the training film
nearest in the encoder's embedding.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sklearn.feature_extraction.text import CountVectorizer

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Example, State
from radlet.evaluation.readings import truth_observations
from radlet.metrics.base import Floats
from radlet.metrics.lexical import BLEU_4
from radlet.metrics.observations import F1_MICRO_14

_MAX_CANDIDATES = 4000
_MAX_REFERENCES = 4000


def constant_report(training: Sequence[Example], seed: int = 0) -> str:
    """Return the training report that scores best as everyone's answer.

    Every different training report (at most 4,000, drawn by seed) answers all training references (at most 4,000,
    drawn by seed); its mark is the mean of micro-F1 and BLEU-4. The F1 is the one that heads the scorecard: against
    the truth where it is known, else over the 14 observations of the references. Both are exact: with one answer for
    all, matches depend on the references only through their counts, so the search is two matrix products.

    Raises:
        DataError: No training report has a text.
    """
    rows = [example for example in training if example.target]
    if not rows:
        raise DataError("No training example has a target text, so no constant answer can be chosen.")
    draws = np.random.default_rng(seed)
    references = _draw(rows, _MAX_REFERENCES, draws)
    candidates = _draw(list({example.target: example for example in rows}.values()), _MAX_CANDIDATES, draws)
    marks = (_observation_marks(candidates, references) + _bleu_marks(candidates, references)) / 2
    return candidates[int(np.argmax(marks))].target or ""


def other_patients(patients: Sequence[str], seed: int = 0) -> NDArray[np.int64]:
    """Return, for each row, a row of another patient; every row is used once (a derangement by patient).

    Raises:
        DataError: More than half of the rows belong to one patient, so that there is none.
    """
    groups: dict[str, list[int]] = {}
    for row, patient in enumerate(patients):
        groups.setdefault(patient, []).append(row)
    largest = max((len(rows) for rows in groups.values()), default=0)
    if 2 * largest > len(patients):
        raise DataError(
            f"{largest} of {len(patients)} reports belong to one patient, so not everyone can be given another "
            "patient's film. Evaluate more patients."
        )
    names = list(groups)
    order = np.array([r for i in np.random.default_rng(seed).permutation(len(names)) for r in groups[names[i]]])
    # Rows stand patient by patient; moving on by the largest patient's number of rows always leaves one's own.
    partner = np.empty(len(order), dtype=np.int64)
    partner[order] = np.roll(order, -largest)
    return partner


def nearest_rows(training: NDArray[np.floating], queries: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the row of `training`, (m, d), with the largest dot product for each of `queries`, (n, d).

    Raises:
        DataError: There is no training row.
    """
    if len(training) == 0:
        raise DataError("There is no training film to look for neighbours among.")
    # Blocks, because the whole (n, m) matrix of a large training set would not fit in memory.
    parts = [(queries[i : i + 256] @ training.T).argmax(axis=1) for i in range(0, len(queries), 256)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _draw(rows: list[Example], limit: int, draws: np.random.Generator) -> list[Example]:
    if len(rows) <= limit:
        return rows
    return [rows[i] for i in np.sort(draws.choice(len(rows), limit, replace=False))]


def _observation_marks(candidates: Sequence[Example], references: Sequence[Example]) -> Floats:
    answers = _states([example.observations for example in candidates])
    if all(example.truth is not None for example in references):
        wanted = _states([truth_observations(example.truth or ()) for example in references])
        answers = answers * wanted.any(axis=0)  # as the scorecard, judge the observations that occur
    else:
        wanted = _states([example.observations for example in references])
    occurrences = wanted.sum(axis=0)
    true = answers * occurrences
    return F1_MICRO_14.score(np.concatenate([true, answers * len(references) - true, occurrences - true], axis=1))


def _states(reports: Sequence[Mapping[str, State]]) -> Floats:
    return np.array(
        [[report.get(name) is State.POSITIVE for name in OBSERVATIONS] for report in reports], dtype=np.float64
    )


def _bleu_marks(candidates: Sequence[Example], references: Sequence[Example]) -> Floats:
    tokenize = BLEU().tokenizer
    answers = [tokenize(example.target or "") for example in candidates]
    wanted = [tokenize(example.target or "") for example in references]
    n = len(wanted)
    lengths = np.array([len(answer.split()) for answer in answers], dtype=np.float64)
    totals = [lengths * n, np.full(len(answers), float(sum(len(text.split()) for text in wanted)))]
    totals += [_matches(answers, wanted, order) for order in range(1, 5)]
    totals += [np.maximum(lengths - order + 1, 0) * n for order in range(1, 5)]
    return BLEU_4.score(np.stack(totals, axis=1))


def _matches(answers: Sequence[str], wanted: Sequence[str], order: int) -> Floats:
    """Return, for each answer, the n-grams it shares with all wanted texts, each clipped to the smaller count."""
    counter = CountVectorizer(ngram_range=(order, order), lowercase=False, tokenizer=str.split, token_pattern=None)
    try:
        counted = counter.fit_transform(answers)
    except ValueError:  # no answer is long enough for an n-gram of this order
        return np.zeros(len(answers))
    offered = counter.transform(wanted)
    shared = np.zeros(len(answers))
    # min(a, b) is the number of levels t with a >= t and b >= t, and each level is a product of counts.
    for level in range(1, int(counted.max()) + 1):
        having = np.asarray((offered >= level).sum(axis=0)).ravel()
        shared += np.asarray((counted >= level) @ having).ravel()
    return shared
