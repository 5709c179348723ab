"""`radlet retrieve`: the studies of a build run nearest to a film or to words."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Example
from radlet.core.registry import nearest
from radlet.core.runs import run_digest, sha256_file, sha256_text
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.models.report_model import checkpoint_folder
from radlet.retrieval.embedding import Embedder
from radlet.retrieval.familiarity import Familiarity
from radlet.retrieval.index import Index, keep_index, kept_index

_FILM_NAME = re.compile(r"\.(png|jpe?g|dcm|dicom)$|(^|[/\\])\d+(\.\d+){3,}$", re.IGNORECASE)
"""How the name of a film ends: with its suffix, or it is a DICOM UID."""
_PATH_START = re.compile(r"(~|\.{0,2})[/\\]\S*$")
"""A path that says where it starts, which words do not."""


class StudyFinder:
    """The frontal films of a build run's split, ready to be searched.

    The embeddings of the split are computed once and kept in the folder ``.index`` beside the runs of the build run,
    keyed by the encoder's files and the build run.

    Args:
        encoder: Run of `pretrain`, or its checkpoint.
        examples: Build run.
        split: Which of its splits.
        progress: Shows the embedding of films.

    Raises:
        CheckpointError: `encoder` is none.
        DataError: The split does not exist or holds no film.
    """

    def __init__(self, encoder: Path, examples: Path, split: str, progress: Progress) -> None:
        if split not in SPLITS:
            raise DataError(f"'{split}' is no split.{nearest(split, list(SPLITS))}")
        self._rows = [row for row in select_films(read_examples(examples), "frontal") if row.split == split]
        if not self._rows:
            raise DataError(f"{examples}: split '{split}' holds no film.")
        self.embedder = Embedder.load(encoder)
        self._folder, self._progress = _index_folder(encoder, examples, split), progress

    @cached_property
    def index(self) -> Index:
        """The films' embeddings; the first time is long where they are not kept from before."""
        return _index(self.embedder, self._folder, self._rows, self._progress)

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """What tells how usual a film would be among these; None where they are of too few patients to say.

        The first time is long where it is not kept from before.
        """
        films = [(row.example_id, row.patient_id, Path(row.image_paths[0])) for row in self._rows]
        folder = self._folder.with_name(f"{self._folder.name}-features")
        return Familiarity.of(self.embedder, films, folder, self._progress)

    def nearest(self, query: Path | str, k: int) -> list[dict[str, Any]]:
        """Return the k films nearest to a film (a path) or to words, with their reports.

        Raises:
            DataError: The film cannot be read.
        """
        embed = self.embedder
        asked = embed.embed_images([query]) if isinstance(query, Path) else embed.embed_texts([query])
        similarities, found = self.index.search(asked, k)
        return [
            {
                "similarity": float(similarity),
                "study_id": self._rows[row].study_id,
                "file": self._rows[row].image_paths[0],
                "report": self._rows[row].report or "",
            }
            for similarity, row in zip(similarities[0], found[0], strict=True)
        ]


def nearest_studies(
    encoder: Path, examples: Path, split: str, query: str, k: int, progress: Progress
) -> list[dict[str, Any]]:
    """Return the k films nearest to a film (when `query` is a file) or to words; see `StudyFinder`.

    Raises:
        DataError: The query is empty or no film that can be read; the split does not exist or holds no film.
    """
    asked = film_of(query) or query
    return StudyFinder(encoder, examples, split, progress).nearest(asked, k)


def film_of(query: str) -> Path | None:
    """Return the film that a query names, or None when it is words.

    Raises:
        DataError: It is empty, a folder, or looks like the path of a film that is not there.
    """
    if not query.strip():
        raise DataError("The query is empty. Give a film, or words of a report.")
    path = Path(query)
    try:
        if path.is_dir():
            raise DataError(f"{query}: is a folder. Give one film, or words of a report.")
        if path.is_file():
            return path
    except OSError:  # words may be longer than any path
        return None
    if _FILM_NAME.search(query) or _PATH_START.match(query):
        raise DataError(f"{query}: there is no such film. Give the path of a film, or words of a report.")
    return None


def _index(embedder: Embedder, folder: Path, rows: Sequence[Example], progress: Progress) -> Index:
    ids = [row.example_id for row in rows]
    kept = kept_index(folder, ids)
    if kept is not None:
        return kept
    index = Index(embedder.embed_images([Path(row.image_paths[0]) for row in rows], progress=progress), ids)
    keep_index(index, folder)
    return index


def _index_folder(encoder: Path, examples: Path, split: str) -> Path:
    """Return where the embeddings are kept: never inside a run, and never where a run could be."""
    weights = checkpoint_folder(encoder)
    files = {str(file.relative_to(weights)): sha256_file(file) for file in weights.rglob("*") if file.is_file()}
    key = sha256_text(f"{sorted(files.items())} {run_digest(examples)} {split}")[:12]
    stage = examples.resolve().parent
    runs_dir = stage.parent if stage.name == "build" else stage
    return runs_dir / ".index" / key
