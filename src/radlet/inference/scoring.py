"""A quick score of drafts while a model trains: do they name the observations of the reference, or give its answer?"""

from collections.abc import Sequence
from pathlib import Path

from radlet.core.records import Example
from radlet.data.observations import label_report
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.metrics import METRICS
from radlet.models.report_model import ReportModel


def draft_score(report_model: ReportModel, rows: Sequence[Example]) -> dict[str, float]:
    """Draft the rows and score the drafts: micro- and macro-F1 of their observations, or exact match of answers."""
    requests = [DraftRequest(tuple(map(Path, row.image_paths)), row.indication, row.question) for row in rows]
    drafts = Drafter(report_model).draft(requests, batch_size=32)
    if any(row.question for row in rows):
        return exact_match(rows, drafts)
    drafted = [label_report(text) for text in drafts]
    references = [row.observations for row in rows]
    return {
        f"draft_f1_{average}": METRICS[f"observation_f1_{average}_14"](references, drafted)
        for average in ("micro", "macro")
    }


def exact_match(rows: Sequence[Example], answers: Sequence[str]) -> dict[str, float]:
    """Return the share of answers that are the expected one, of all questions and of each kind that occurs.

    Capitals, white space and a full stop at the end do not count.
    """
    right = [_plain(answer) == _plain(row.target or "") for row, answer in zip(rows, answers, strict=True)]
    scores = {"draft_exact": sum(right) / len(right)}
    for kind in ("closed", "open"):
        of_kind = [hit for row, hit in zip(rows, right, strict=True) if row.answer_kind == kind]
        if of_kind:
            scores[f"draft_exact_{kind}"] = sum(of_kind) / len(of_kind)
    return scores


def _plain(answer: str) -> str:
    return " ".join(answer.lower().split()).rstrip(" .")
