"""What `build` takes from a quality run: which films stay out, and which view is filled in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from radlet.core.records import ImageRecord, Study, View
from radlet.data.manifests import row_groups_with

FILMS = "films.parquet"


@dataclass(frozen=True)
class Selection:
    """The word of a quality run; an empty one lets everything through.

    Attributes:
        rejected: Ids of films.
        views: Image id -> view to fill in.
    """

    rejected: frozenset[str] = frozenset()
    views: Mapping[str, View] = field(default_factory=dict)

    def apply(self, study: Study) -> Study | None:
        """Return the study without its rejected films; None when none is left."""
        images = tuple(self._filled(image) for image in study.images if image.image_id not in self.rejected)
        if not images and study.images:
            return None
        return study if images == study.images else study.model_copy(update={"images": images})

    def _filled(self, image: ImageRecord) -> ImageRecord:
        view = self.views.get(image.image_id)
        return image.model_copy(update={"view": view}) if view and image.view is None else image


def read_selection(quality: Path, image_ids: Sequence[str]) -> Selection:
    """Return what a quality run says of some films; holds the rows of their neighbourhood alone."""
    path = quality / FILMS
    rejected, views = set(), {}
    with pq.ParquetFile(path) as file:
        for group in row_groups_with(path, "image_id", image_ids):
            for row in file.read_row_group(group, ["image_id", "verdict", "filled_view"]).to_pylist():
                if row["verdict"] == "reject":
                    rejected.add(row["image_id"])
                elif row["filled_view"]:
                    views[row["image_id"]] = row["filled_view"]
    return Selection(frozenset(rejected), views)


def count_selection(quality: Path | None) -> dict[str, Any] | None:
    """Return what a quality run rejected, for the summary of `build`; None without one."""
    if quality is None:
        return None
    summary = json.loads((quality / "summary.json").read_text(encoding="utf-8"))
    return {
        "films_rejected": summary["films_by_verdict"]["reject"],
        "films_flagged": summary["films_by_verdict"]["flag"],
        "studies_dropped": summary["studies_without_film"],
        "rejected_by_check": summary["rejected_by_check"],
        "views_filled": summary["views_filled"],
        "duplicates": summary["duplicates"],
    }
