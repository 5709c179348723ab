"""What every source hands to `ingest`: raw studies, and items it had to refuse."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from radlet.core.config import Config
from radlet.core.records import Study


@dataclass(frozen=True)
class RawStudy:
    """A study as its source has it.

    Attributes:
        study: The record; `ImageRecord.path` is the absolute path of the raw file, or "" when `pixels` holds the film.
        pixels: `image_id -> (H, W) uint8` display grey, for sources that make their films.
        masks: `(index of the finding in study.truth, image_id) -> (H, W) uint8`, 255 inside.
        decoders: `image_id -> function` that gives the display grey, for films that `read_film` alone would misread; it
            is called where a crash or a hang costs one film.
    """

    study: Study
    pixels: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    masks: Mapping[tuple[int, str], NDArray[np.uint8]] = field(default_factory=dict)
    decoders: Mapping[str, Callable[[], NDArray[np.uint8]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """One raw item that could not be used; `reason` names no patient and quotes no text."""

    item_id: str
    reason: str


class Source(Config):
    """Base of the source configurations; each is a table ``[source]`` with its ``kind`` in an ingest recipe."""

    terms: ClassVar[str | None] = None
    """Access and licence of a public set, for the data card."""

    kind: str
    """Name of the source in the registry."""
    pseudonymise: bool = False
    """Whether `ingest` puts keyed pseudonyms in the place of this source's ids."""

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:
        """Yield the shard's studies in a stable order; every study falls into exactly one of the shards."""
        raise NotImplementedError


class ListedSource(Source):
    """Base of sources that know their studies only when they have seen everything: `ingest` lists them once.

    Their films stand in files; a raw study of theirs has neither pixels nor masks.
    """

    def list_studies(self, scratch: Path) -> Iterator[RawStudy | Rejected]:
        """Yield all studies in a stable order, in memory that does not grow with their number.

        Args:
            scratch: Folder that the listing may use, and leaves empty when it has ended.

        Raises:
            DataError: What lists the films cannot be read.
        """
        raise NotImplementedError

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy | Rejected]:  # noqa: ARG002
        """Yield every `num_shards`-th study or refused item, beginning with number `shard`; `seed` changes nothing.

        Raises:
            DataError: What lists the films cannot be read.
        """
        with TemporaryDirectory(prefix="radlet-") as scratch:
            yield from islice(self.list_studies(Path(scratch)), shard, None, num_shards)
