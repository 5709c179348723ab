"""Open-i's Indiana University collection: one XML a report, PNG films, MeSH terms given by the library's indexers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal
from xml.etree import ElementTree as ET

from radlet.core.errors import DataError
from radlet.core.records import Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_text
from radlet.data.sources.published import FilmsOfStudy, read_columns

_SECTIONS = {"COMPARISON": "comparison", "INDICATION": "indication", "FINDINGS": "findings", "IMPRESSION": "impression"}

HEADINGS: dict[str, tuple[str, ...]] = {
    "Atelectasis": ("pulmonary atelectasis",),
    "Cardiomegaly": ("cardiomegaly",),
    "Consolidation": ("consolidation",),
    "Edema": ("pulmonary edema",),
    "Effusion": ("pleural effusion",),
    "Emphysema": ("emphysema", "pulmonary emphysema"),
    "Fibrosis": ("pulmonary fibrosis",),
    "Hernia": ("hernia, hiatal",),
    "Infiltration": ("infiltrate",),
    "Mass": ("mass",),
    "Nodule": ("nodule",),
    "Pleural_Thickening": ("thickening/pleura",),
    "Pneumonia": ("pneumonia",),
    "Pneumothorax": ("pneumothorax",),
    "normal": ("normal",),
}
"""Label <- the MeSH headings that stand for it, with the place where a heading alone says too little."""
_UNINDEXED = {"no indexing"}
_UNSAFE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
"""Declarations with which a small file can be made to expand without end; the published files have none."""
_MAX_XML_BYTES = 1 << 20
_FRONTAL_WORDS = re.compile(r"\b(?:PA|AP|frontal|posteroanterior|anteroposterior|two|2)\b", re.IGNORECASE)
_LATERAL_WORDS = re.compile(r"\blateral\b", re.IGNORECASE)


class OpenISource(Source):
    """The Indiana University chest X-rays of Open-i (``NLMCXR``): XML reports and PNG films."""

    terms: ClassVar[str | None] = "National Library of Medicine, open, without registration; CC BY-NC-ND 4.0."
    kind: Literal["open_i"] = "open_i"
    root: Path
    """Folder under which the ``*.xml`` stand, at any depth."""
    films_dir: Path | None = None
    """Folder of the films; without it, ``NLMCXR_png`` under the root."""
    projections: Path | None = None
    """Table with the columns ``filename`` and ``projection`` (Frontal, Lateral). The XML names no view of a film, and a
    film of unknown view counts as frontal: without this table half of the films would do so wrongly."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the studies of one shard, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: The root holds no XML, or the table of projections cannot be read.
        """
        paths = sorted(self.root.rglob("*.xml"), key=lambda path: (len(path.stem), path.as_posix()))
        if not paths:
            raise DataError(f"{self.root}: holds no XML report. Give the folder of ecgen-radiology as source.root.")
        lateral = self._read_laterals()
        for path in paths[shard::num_shards]:
            item_id = path.relative_to(self.root).as_posix()
            report = _read_xml(path)
            if isinstance(report, str):
                yield Rejected(item_id, report)
            else:
                yield from self._items(report, path.stem, lateral)

    def _read_laterals(self) -> dict[str, bool] | None:
        if self.projections is None:
            return None
        rows = read_columns(self.projections, ("filename", "projection"))
        return {_image_id(read_text(row, "filename")): read_text(row, "projection") == "Lateral" for row in rows}

    def _items(self, report: ET.Element, stem: str, lateral: dict[str, bool] | None) -> Iterator[RawStudy | Rejected]:
        study_id = _attribute(report, "uId") or f"CXR{stem}"
        gathered = FilmsOfStudy(self.films_dir or self.root / "NLMCXR_png")
        for element in report.iter("parentImage"):
            image_id = element.get("id", "").strip()
            bare = image_id.removeprefix("CXR")
            paths = [f"{image_id}.png", f"{image_id}.jpg", f"{image_id}.dcm", f"{bare}.dcm.png", f"{bare}.jpg"]
            gathered.add(image_id, paths, _view(element, lateral, image_id))
        yield from gathered.items(
            Study(
                study_id=study_id,
                # The collection tells no patients.
                patient_id=study_id,
                images=(),
                sections=_read_sections(report),
                labels=read_labels([element.text or "" for element in report.iter("major")]),
            )
        )


def read_labels(headings: list[str]) -> dict[str, int]:
    """Return `HEADINGS` as 1 or 0 from the MeSH terms of a report, ``Opacity/lung/base/left`` and the like.

    A report that was not indexed gives no labels.
    """
    terms = [term.strip().lower() for term in headings if term.strip()]
    if not terms or set(terms) & _UNINDEXED:
        return {}
    return {name: int(any(_stands_for(term, known) for term in terms)) for name, known in HEADINGS.items()}


def _stands_for(term: str, known: tuple[str, ...]) -> bool:
    parts = term.split("/")
    return any(set(heading.split("/")) <= set(parts) and parts[0] == heading.split("/")[0] for heading in known)


def _read_xml(path: Path) -> ET.Element | str:
    """Return the report, or why it is refused."""
    try:
        if path.stat().st_size > _MAX_XML_BYTES:
            return "the XML is larger than any report"
        data = path.read_bytes()
        if _UNSAFE.search(data):
            return "the XML declares a document type or an entity, which no report does"
        return ET.fromstring(data)  # noqa: S314 - no declarations, so nothing expands and nothing is fetched
    except (OSError, ET.ParseError, LookupError, ValueError) as error:
        return f"the XML cannot be read ({type(error).__name__})"


def _read_sections(report: ET.Element) -> dict[str, str]:
    """Return the sections; one that stands twice is joined by a line break."""
    parts: dict[str, list[str]] = {}
    for element in report.iter("AbstractText"):
        name = _SECTIONS.get(element.get("Label", "").strip().upper())
        text = "".join(element.itertext()).strip()
        if name and text:
            parts.setdefault(name, []).append(text)
    return {name: "\n".join(texts) for name, texts in parts.items()}


def _attribute(report: ET.Element, tag: str) -> str:
    element = report.find(f".//{tag}")
    return element.get("id", "").strip() if element is not None else ""


def _image_id(filename: str) -> str:
    """Return the id that the XML has for a film called ``1_IM-0001-4001.dcm.png`` in the table of projections."""
    return "CXR" + filename.removeprefix("CXR").removesuffix(".png").removesuffix(".jpg").removesuffix(".dcm")


def _view(element: ET.Element, lateral: dict[str, bool] | None, image_id: str) -> View | None:
    """Return what is known of a film's view; captions name the exam, mostly both of its views, seldom the film's."""
    if lateral is not None:
        return "LATERAL" if lateral.get(image_id) else None
    caption = element.findtext("caption") or ""
    return "LATERAL" if _LATERAL_WORDS.search(caption) and not _FRONTAL_WORDS.search(caption) else None
