"""BIMCV-COVID19+ of the Valencian Region: a BIDS-like tree of PNG films with their headers as JSON, Spanish reports."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from radlet.core.errors import DataError
from radlet.core.records import Study, View
from radlet.data.dicom_grey import to_display_grey
from radlet.data.dicom_tags import text, view
from radlet.data.film import check_size
from radlet.data.images import read_film
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_age_years, read_sex, read_text
from radlet.data.sources.padchest import known_labels, read_labels
from radlet.data.sources.published import FilmsOfStudy, find_file, read_columns, require_file
from radlet.data.tables import Row

_VIEWS: dict[str, View] = {
    "pa": "PA", "ap": "AP", "ll": "LATERAL", "rl": "LATERAL", "lat": "LATERAL", "lateral": "LATERAL",
}  # fmt: skip
_GREY_TAGS = (
    "00280004", "00280101", "00280103", "00280106", "00280107", "00281050", "00281051", "00281052", "00281053",
    "00281056", "00283010", "00185101",
)  # fmt: skip
"""What of a header decides the grey of a film (PS3.3 C.7.6.3, C.11.1, C.11.2), and ViewPosition."""
_PART = re.compile(r"_(bp|vp)-([A-Za-z]+)")
_LABELS = ("labels_covid*posi*.tsv", "labels_covid*.tsv")


class BimcvCovid19Source(Source):
    """BIMCV-COVID19+: ``sub-…/ses-…/mod-rx/*.png`` with JSON beside, ``derivatives/labels/``, ``participants.tsv``."""

    terms: ClassVar[str | None] = (
        "BIMCV (Valencian Region Medical ImageBank), after accepting its research use agreement."
    )
    kind: Literal["bimcv_covid19"] = "bimcv_covid19"
    root: Path
    """Folder into which the archives were unpacked, that of the ``sub-…`` folders."""
    keep_reports: bool = True
    """Whether the reports are kept. They are Spanish, which neither the labeller nor an English model reads."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the sessions of one shard as studies, each followed by what was refused; `seed` changes nothing.

        Raises:
            DataError: There is no session or no table of labels, or a table cannot be read or lacks a column.
        """
        sessions = [path for path in sorted(self.root.glob("sub-*/ses-*")) if path.is_dir()]
        if not sessions:
            raise DataError(f"{self.root}: holds no sub-…/ses-… folder. Give the folder of the unpacked archives.")
        table = require_file(self.root / "derivatives" / "labels", _LABELS, "table of reports and labels")
        columns = ("ReportID", "PatientID", "Report", "Labels")
        known = known_labels(read_text(row, "Labels") for row in read_columns(table, columns))
        wanted = {path.name for path in sessions[shard::num_shards]}
        reports: dict[str, Row] = {}
        for row in read_columns(table, columns):
            if read_text(row, "ReportID") in wanted:
                reports.setdefault(read_text(row, "ReportID"), row)
        people = self._read_people()
        for session in sessions[shard::num_shards]:
            person = people.get(session.parent.name, {})
            yield from self._items(session, reports.get(session.name, {}), person, known)

    def _items(self, session: Path, row: Row, person: Row, known: tuple[str, ...]) -> Iterator[RawStudy | Rejected]:
        gathered = FilmsOfStudy(self.root)
        decoders: dict[str, Callable[[], NDArray[np.uint8]]] = {}
        for path in sorted(session.rglob("*")):
            if path.name.endswith((".png", ".nii.gz")):
                self._add_film(gathered, decoders, path)
        if row and read_text(row, "PatientID") != session.parent.name:
            gathered.refuse(f"{session.name}:report", "the report is another patient's; its study is kept without it")
            row = {}
        report = read_text(row, "Report")
        study = Study(
            study_id=session.name,
            patient_id=session.parent.name,
            images=(),
            sections={"findings": report} if report and self.keep_reports else {},
            labels=read_labels(read_text(row, "Labels"), known),
            sex=read_sex(read_text(person, "gender")),
            age_years=_age_years(read_text(person, "age")),
        )
        for item in gathered.items(study):
            yield item if isinstance(item, Rejected) else RawStudy(item.study, decoders=decoders)

    def _add_film(
        self, gathered: FilmsOfStudy, decoders: dict[str, Callable[[], NDArray[np.uint8]]], path: Path
    ) -> None:
        image_id = path.name.removesuffix(".png")
        parts = dict(_PART.findall(path.name))
        if not path.name.endswith(".png"):
            gathered.refuse(path.name, "a volume, not a film")
        elif parts.get("bp", "chest") not in ("chest", "thorax"):
            gathered.refuse(image_id, "not a film of the chest")
        elif "vp" in parts and parts["vp"].lower() not in _VIEWS:
            gathered.refuse(image_id, "its view is neither PA, AP nor lateral")
        else:
            try:
                header = _read_header(path.with_suffix(".json"))
            except DataError as error:
                gathered.refuse(image_id, str(error))
                return
            told = _VIEWS[parts["vp"].lower()] if "vp" in parts else view(header or Dataset())
            gathered.add(image_id, [path.relative_to(self.root).as_posix()], told)
            decoders[image_id] = partial(_read_film, path, header)

    def _read_people(self) -> dict[str, Row]:
        path = find_file(self.root, ("participants.tsv",))
        return {read_text(row, "participant"): row for row in read_columns(path, ("participant",))} if path else {}


def _read_header(path: Path) -> Dataset | None:
    """Return what the JSON beside a film (PS3.18 F) tells of its grey; None where there is none.

    Raises:
        DataError: It is no such JSON.
    """
    if not path.is_file():
        return None
    with refusing("the JSON beside the film cannot be read", DataError), quiet_libraries():
        tags: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Dataset.from_json({tag: tags[tag] for tag in _GREY_TAGS if tag in tags})


def _read_film(path: Path, header: Dataset | None) -> NDArray[np.uint8]:
    """Return the display grey of a film: of stored values by its header; one of 8 bits is display grey already.

    Raises:
        DataError: The film is damaged, or nothing tells what its values mean.
    """
    with refusing("the film is truncated or damaged", DataError), Image.open(path, formats=("PNG",)) as image:
        check_size(image.height, image.width)
        stored = np.asarray(image).astype(np.uint16) if image.mode.startswith("I") else None
    if stored is None:
        return read_film(path).pixels
    if header is None or not text(header, "PhotometricInterpretation"):
        raise DataError("nothing beside the film tells whether its high values are bright or dark")
    with refusing("the header beside the film is malformed", DataError), quiet_libraries():
        return to_display_grey(stored, header)


def _age_years(cell: str) -> int | None:
    """Read the ages of a person as listed in one cell; where there are several, none is the age at a given exam."""
    ages = set(re.findall(r"\d+", cell.replace(".0", "")))
    return read_age_years(ages.pop()) if len(ages) == 1 else None
