"""What every judge is: a table with its ``kind``, and counts of six kinds of errors for pairs of reports.

Here because judges stand both in `radlet.llm` (a language model) and in `radlet.evaluation` (rules).
"""

from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.records import Record
from radlet.metrics.rule_judge import ERROR_KINDS, ErrorKind

NO_REFERENCE = "no_reference"
"""Why a draft whose reference is blank has no judgement: what it states may be right or wrong."""


class ReportPair(Record):
    """A draft with its reference, and what is known of the patient."""

    id: str
    reference: str
    draft: str
    age: float | None = None
    """In years."""
    indication: str | None = None


class ErrorCount(Record):
    """Errors of one kind in one draft; halves where the median of several answers lies between two counts."""

    significant: int | float = Field(ge=0, allow_inf_nan=False)
    insignificant: int | float = Field(ge=0, allow_inf_nan=False)


class JudgedReport(Record):
    """What a judge says of one draft."""

    id: str
    score: float | None = None
    """1 for no error, towards 0 with every error; null where a text has no word, and from judges that give no score."""
    counts: dict[ErrorKind, ErrorCount] | None
    """Null where there is no judgement, which is not the same as no error."""
    errors: tuple[tuple[ErrorKind, str, bool], ...] = ()
    """Kind, what it is about, whether it is significant."""
    missing: str | None = None
    """Why there is no judgement: one word for the counts."""
    num_samples: int | None = None
    """How many answers the counts are the median of."""
    spread: dict[ErrorKind, ErrorCount] | None = None
    """Largest less smallest count of these answers."""


class Judge(Config):
    """Base of the judges; each is chosen by its ``kind``."""

    kind: str
    """Name of the judge in the registry."""

    def judge(self, pairs: Sequence[ReportPair], progress: Progress) -> Iterator[JudgedReport]:
        """Yield the judgement of each pair, in order.

        Raises:
            RadletError: No further judgement can be had.
        """
        raise NotImplementedError


def totals(reports: Iterable[JudgedReport]) -> dict[ErrorKind, ErrorCount]:
    """Sum up the errors of all reports that were judged."""
    counts = [report.counts for report in reports if report.counts is not None]
    return {
        kind: ErrorCount(
            significant=sum(count[kind].significant for count in counts),
            insignificant=sum(count[kind].insignificant for count in counts),
        )
        for kind in ERROR_KINDS
    }


def mean_score(reports: Iterable[JudgedReport]) -> tuple[float | None, int]:
    """Return the mean score and how many drafts it is the mean of: those that have one."""
    scores = [report.score for report in reports if report.score is not None]
    return (sum(scores) / len(scores) if scores else None), len(scores)
