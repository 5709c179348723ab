"""An exact nearest-neighbour index of unit embeddings, with the ids of what they stand for."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from radlet.core.errors import DataError
from radlet.core.runs import write_atomically


class Index:
    """Look up the nearest entries by cosine similarity; one matrix product, exact, fit for 10^5 films.

    Args:
        embeddings: Unit rows (n, E).
        ids: One for each row.
    """

    def __init__(self, embeddings: NDArray[np.float32], ids: Sequence[str]) -> None:
        if len(embeddings) != len(ids):
            raise DataError(f"An index needs one id for each row; got {len(embeddings)} rows and {len(ids)} ids.")
        self.embeddings, self.ids = embeddings, list(ids)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return (similarities, row numbers), both (queries, k), the nearest first; equals keep the index's order."""
        similarities = queries @ self.embeddings.T
        rows = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarities, rows, axis=1), rows

    def save(self, folder: Path) -> None:
        """Write ``index.safetensors`` and ``ids.json`` under `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"embeddings": self.embeddings}, folder / "index.safetensors")
        write_atomically(folder / "ids.json", json.dumps(self.ids))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: The folder holds no index.
        """
        try:
            embeddings = load_file(folder / "index.safetensors")["embeddings"]
            ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(f"{folder}: holds no index ({error.__class__.__name__}).") from None
        return cls(embeddings, ids)


def kept_index(folder: Path, ids: Sequence[str]) -> Index | None:
    """Return the index that `keep_index` left, where it is of these ids; an unreadable one is to be made anew."""
    if not folder.is_dir():
        return None
    try:
        kept = Index.load(folder)
    except DataError:  # a kill, or another version
        return None
    return kept if kept.ids == list(ids) else None


def keep_index(index: Index, folder: Path) -> None:
    """Save an index whole or not at all; where it cannot be kept, the query is answered all the same."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        index.save(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, SafetensorError):
        shutil.rmtree(temporary, ignore_errors=True)
