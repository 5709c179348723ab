"""ROCO and ROCOv2: figures of open-access articles with their captions; all modalities, chest films among them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Split, Study, View
from radlet.data.sources.base import RawStudy, Rejected, Source
from radlet.data.sources.cells import read_text
from radlet.data.sources.published import FilmsOfStudy, ShardOfStudies, find_file, read_columns
from radlet.data.tables import Row

_SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "dev": ("valid", "validation"), "test": ("test",)}
_PLAIN_RADIOGRAPH, _CHEST = "C1306645", "C0817096"
_VIEWS: dict[str, View] = {"C1996865": "PA", "C1999039": "AP", "C0205129": "LATERAL"}
"""Concepts of direction: postero-anterior, anterior-posterior, sagittal."""
_FIRST_RELEASE = re.compile(r"ROCO_\d+$")
_ARTICLE = re.compile(r"PMC\d+")


class RocoSource(Source):
    """ROCOv2 (captions and concepts as CSV) or ROCO (captions as text files) with the published split."""

    terms: ClassVar[str | None] = (
        "Open, without registration; each figure under the licence of its article, as the set's licence table says."
    )
    kind: Literal["roco"] = "roco"
    root: Path
    """Folder of ``train_captions.csv`` and its like, or of ``train/radiology/captions.txt`` (with or without ``data/``
    before)."""
    chest_xrays_only: bool = False
    """Leave out every figure whose concepts, set by hand, are not plain radiograph and chest. ROCOv2 alone has them."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield the figures of one shard as studies, each followed by what was refused of it; `seed` changes nothing.

        Raises:
            DataError: There are no captions, a table cannot be read or lacks a column, or the release cannot tell
                which figures are chest radiographs.
        """
        articles, concepts, names = self._articles(), self._concepts(), self._concept_names()
        if self.chest_xrays_only and not concepts:
            raise DataError(f"{self.root}: has no table of concepts set by hand, which chest_xrays_only needs.")
        known = sorted({concept for found in concepts.values() for concept in found})
        judged = _latest_splits(self._captions(), articles)
        for image_id, rows in ShardOfStudies(shard, num_shards).group(self._captions(), _image_id).items():
            gathered = FilmsOfStudy(self.root)
            found, row = concepts.get(image_id), rows[0]
            article = articles.get(image_id, image_id)
            for _ in rows[1:]:
                gathered.refuse(f"{image_id}:caption", "the same figure stands in an earlier row")
            if judged[article] != row["split"]:
                reason = f"left out by rule: other figures of its article are in {judged[article]}"
                gathered.refuse(image_id, reason)
            elif self.chest_xrays_only and not {_PLAIN_RADIOGRAPH, _CHEST} <= (found or set()):
                gathered.refuse(image_id, "left out by rule: not a chest radiograph by its concepts")
            else:
                view = next((view for concept, view in _VIEWS.items() if concept in (found or ())), None)
                gathered.add(image_id, [f"{folder}/{image_id}.jpg" for folder in row["folders"]], view)
            yield from gathered.items(
                Study(
                    study_id=image_id,
                    patient_id=article,
                    images=(),
                    caption=read_text(row, "Caption") or None,
                    labels={} if found is None else {names.get(name, name): int(name in found) for name in known},
                    split=row["split"],
                )
            )

    def _captions(self) -> Iterator[Row]:
        """Yield ``ID``, ``Caption``, split and the folders in which the figure may be."""
        found = 0
        for split, words in _SPLITS.items():
            for word in words:
                if path := find_file(self.root, (f"{word}_captions.csv", f"{word}_captions.csv.gz")):
                    found += 1
                    places = (word, f"{word}/images", f"{word}_images", f"{word}_images/{word}", "images", ".")
                    for row in read_columns(path, ("ID", "Caption")):
                        yield {**row, "split": split, "folders": places}
                if path := self._first_release(word, "captions.txt"):
                    found += 1
                    for image_id, caption in _read_lines(path).items():
                        place = (path.parent / "images").relative_to(self.root).as_posix()
                        yield {"ID": image_id, "Caption": caption, "split": split, "folders": (place,)}
        if not found:
            raise DataError(
                f"{self.root}: holds no captions (train_captions.csv, train/radiology/captions.txt). Correct the root."
            )

    def _first_release(self, word: str, name: str) -> Path | None:
        return find_file(self.root, tuple(f"{before}{word}/radiology/{name}" for before in ("", "data/", "all_data/")))

    def _articles(self) -> dict[str, str]:
        """Return ``figure -> article`` where a licence table tells; figures of one article may show one patient."""
        tables: list[tuple[Path | None, str, str]] = [
            (find_file(self.root, ("license_information.csv",)), "ID", "PMCID")
        ]
        words = (word for options in _SPLITS.values() for word in options)
        tables += [(self._first_release(word, "licences.txt"), "ROCO_ID", "PMC_ID") for word in words]
        found = {}
        for path, key, column in tables:
            for row in _read_licences(path, key, column) if path else ():
                if article := _ARTICLE.match(read_text(row, column)):
                    found[read_text(row, key)] = article[0]
        return found

    def _concepts(self) -> dict[str, set[str]]:
        """Return ``figure -> concepts`` that were set by hand: modality, and body part and direction of radiographs."""
        found: dict[str, set[str]] = {}
        for words in _SPLITS.values():
            if path := find_file(self.root, tuple(f"{word}_concepts_manual.csv" for word in words)):
                for row in read_columns(path, ("ID", "CUIs")):
                    concepts = {part.strip().upper() for part in read_text(row, "CUIs").split(";")} - {""}
                    if concepts:
                        found[read_text(row, "ID")] = concepts
        return found

    def _concept_names(self) -> dict[str, str]:
        path = find_file(self.root, ("cui_mapping.csv",))
        rows = read_columns(path, ("CUI", "Canonical name")) if path else ()
        return {read_text(row, "CUI"): read_text(row, "Canonical name") for row in rows if row["Canonical name"]}


def _image_id(row: Row) -> str:
    return read_text(row, "ID")


def _latest_splits(rows: Iterable[Row], articles: dict[str, str]) -> dict[str, Split]:
    """Return ``article -> split``: of an article with figures in several, those for judging count."""
    found: dict[str, Split] = {}
    for row in rows:
        article = articles.get(_image_id(row), _image_id(row))
        found[article] = max(found.get(article, "train"), row["split"], key=SPLITS.index)
    return found


def _read_lines(path: Path) -> dict[str, str]:
    """Return ``figure -> caption`` of a file of ``ROCO_00001<tab>text`` lines; a line without an id goes on.

    Raises:
        DataError: The file cannot be read.
    """
    found: dict[str, str] = {}
    image_id = ""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                start, tab, text = line.partition("\t")
                if tab and _FIRST_RELEASE.match(start.strip()):
                    image_id = start.strip()
                    found[image_id] = text.strip()
                elif image_id:
                    found[image_id] = f"{found[image_id]} {line.strip()}".strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}). Give a text file in UTF-8.") from None
    return found


def _read_licences(path: Path, key: str, column: str) -> Iterator[Row]:
    if path.suffix == ".csv":
        yield from read_columns(path, (key, column))
        return
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            first, _, rest = line.partition(",")
            yield {key: first.strip(), column: rest.strip()}
