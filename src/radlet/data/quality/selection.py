"""What `build` takes from a quality run: which films stay out, and which view is filled in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord, Study, View
from radlet.core.runs import run_digest

FILMS = "films.parquet"


@dataclass(frozen=True)
class Selection:
    """The word of a quality run; an empty one lets everything through.

    Attributes:
        rejected: Ids of films.
        views: Image id -> view to fill in.
        counts: What was rejected, for the summary of `build`; None without a quality run.
    """

    rejected: frozenset[str] = frozenset()
    views: Mapping[str, View] = field(default_factory=dict)
    counts: dict[str, Any] | None = None

    def apply(self, study: Study) -> Study | None:
        """Return the study without its rejected films; None when none is left."""
        images = tuple(self._filled(image) for image in study.images if image.image_id not in self.rejected)
        if not images and study.images:
            return None
        return study if images == study.images else study.model_copy(update={"images": images})

    def _filled(self, image: ImageRecord) -> ImageRecord:
        view = self.views.get(image.image_id)
        return image.model_copy(update={"view": view}) if view and image.view is None else image


def check_selection(quality: Path, ingest: Path) -> None:
    """Refuse a quality run that says nothing of an ingest run.

    Raises:
        DataError: The quality run is not finished, or was made of another ingest run.
    """
    run_digest(quality)
    upstream = json.loads((quality / "inputs.json").read_text(encoding="utf-8")).get("ingest", {})
    if upstream.get("digest") != run_digest(ingest):
        raise DataError(f"{quality}: was made of another ingest run than {ingest}. Run quality on this one.")


@lru_cache(maxsize=1)
def read_selection(quality: Path | None) -> Selection:
    """Return what a quality run says of the films; no quality run lets everything through.

    Kept, because a worker asks for it with every shard. Holds the films that are rejected or given a view, no others.
    """
    if quality is None:
        return Selection()
    rejected, views = set(), {}
    with pq.ParquetFile(quality / FILMS) as file:
        columns = [name for name in ("image_id", "verdict", "filled_view") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                if row["verdict"] == "reject":
                    rejected.add(row["image_id"])
                elif row["filled_view"]:
                    views[row["image_id"]] = row["filled_view"]
    return Selection(frozenset(rejected), views, _counts(quality))


def _counts(quality: Path) -> dict[str, Any]:
    summary = json.loads((quality / "summary.json").read_text(encoding="utf-8"))
    return {
        "films_rejected": summary["films_by_verdict"]["reject"],
        "films_flagged": summary["films_by_verdict"]["flag"],
        "studies_dropped": summary["studies_without_film"],
        "rejected_by_check": summary["rejected_by_check"],
        "views_filled": summary["views_filled"],
        "duplicates": summary["duplicates"],
    }
