"""`radlet retrieve`: the studies of a build run nearest to a film or to words."""

from collections.abc import Sequence
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
from radlet.retrieval.index import Index


def nearest_studies(
    encoder: Path, examples: Path, split: str, query: str, k: int, progress: Progress
) -> list[dict[str, Any]]:
    """Return the k films nearest to a film (when `query` is a file) or to words, with their reports.

    The embeddings of the split are computed once and kept beside the encoder's folder, keyed by its weights and the
    build run.

    Raises:
        DataError: The split does not exist or holds no film.
    """
    if split not in SPLITS:
        raise DataError(f"'{split}' is no split.{nearest(split, list(SPLITS))}")
    rows = [row for row in select_films(read_examples(examples), "frontal") if row.split == split]
    if not rows:
        raise DataError(f"{examples}: split '{split}' holds no film.")
    embedder = Embedder.load(encoder)
    index = _index(embedder, encoder, examples, split, rows, progress)
    is_film = Path(query).is_file()
    asked = embedder.embed_images([Path(query)]) if is_film else embedder.embed_texts([query])
    similarities, found = index.search(asked, k)
    return [
        {
            "similarity": float(similarity),
            "study_id": rows[row].study_id,
            "file": rows[row].image_paths[0],
            "report": rows[row].report or "",
        }
        for similarity, row in zip(similarities[0], found[0], strict=True)
    ]


def _index(
    embedder: Embedder, encoder: Path, examples: Path, split: str, rows: Sequence[Example], progress: Progress
) -> Index:
    weights = checkpoint_folder(encoder) / "heads.safetensors"
    key = sha256_text(f"{sha256_file(weights)} {run_digest(examples)} {split}")[:12]
    folder = encoder.resolve().parent / f"{encoder.resolve().name}-index-{key}"
    ids = [row.example_id for row in rows]
    if folder.is_dir():
        index = Index.load(folder)
        if index.ids == ids:
            return index
    index = Index(embedder.embed_images([Path(row.image_paths[0]) for row in rows], progress=progress), ids)
    index.save(folder)
    return index
