"""A quick score of drafts while a model trains: do they name the observations of the reference?"""

from collections.abc import Sequence
from pathlib import Path

from radlet.core.records import Example
from radlet.data.observations import label_report
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.metrics import METRICS
from radlet.models.report_model import ReportModel


def draft_f1(report_model: ReportModel, rows: Sequence[Example]) -> dict[str, float]:
    """Draft the rows and return micro- and macro-F1 of their observations against the references'."""
    requests = [DraftRequest(tuple(map(Path, row.image_paths)), row.indication) for row in rows]
    drafted = [label_report(text) for text in Drafter(report_model).draft(requests, batch_size=32)]
    references = [row.observations for row in rows]
    return {
        f"draft_f1_{average}": METRICS[f"observation_f1_{average}_14"](references, drafted)
        for average in ("micro", "macro")
    }
