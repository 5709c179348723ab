"""The reference card: how often what was seen when a model was made, as counts in bins; one small JSON file.

It holds counts, edges of bins and digests: no film, no text, nothing of one study.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError, model_validator

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Record, State
from radlet.core.runs import write_atomically
from radlet.data.film_numbers import FILM_NUMBERS

Kind = Literal["input", "output"]
Value = float | str
LEAST_VALUES = 50
"""Of fewer values the card holds no counts: their bins would say little."""
LEAST_OF_SCANNER = 200
"""A scanner with as many values in the reference is held against its own counts, any other against all."""
_BINS = 10
_STATES = tuple(str(state) for state in State)

NUMBERS: dict[str, Kind] = {**dict.fromkeys(FILM_NUMBERS, "input"), "age_years": "input", "words": "output"}
"""Measures that are numbers."""
WORDS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "view": ("input", ("PA", "AP", "LATERAL")),
    "sex": ("input", ("F", "M", "other")),
    "gate": ("input", ("passed", "warned", "refused")),
    **dict.fromkeys(OBSERVATIONS, ("output", _STATES)),
}
"""Measures that are one of a few words. Of an observation: what the text says of it."""


class Observed(Record):
    """What was measured of one study.

    Attributes:
        scanner: That took it, where known.
        values: Measure -> value; what is unknown is absent.
    """

    scanner: str | None
    values: dict[str, Value]


class Measure(Record):
    """One measure over the reference."""

    name: str
    kind: Kind
    edges: tuple[float, ...] | None = None
    """Of the bins, one more than these; values beyond the ends count in the outermost. A bin has its lower edge."""
    labels: tuple[str, ...] | None = None
    """The words, in place of edges."""
    counts: tuple[int, ...]
    """Of each bin, over all."""
    by_scanner: dict[str, tuple[int, ...]] = {}
    """Those of scanners that the reference knows well."""

    @model_validator(mode="after")
    def _whole(self) -> "Measure":
        bins = len(self.labels) if self.labels else len(self.edges or ()) - 1
        if bins < 1 or any(len(counts) != bins for counts in (self.counts, *self.by_scanner.values())):
            raise ValueError("a measure needs edges or labels, and a count for each bin")
        return self

    def count(self, values: Iterable[Value]) -> tuple[int, ...]:
        """Return how many values fall into each bin."""
        if self.labels:
            found = Counter(values)
            return tuple(found[label] for label in self.labels)
        places = np.searchsorted((self.edges or ())[1:-1], list(values), side="right")
        return tuple(int(count) for count in np.bincount(places, minlength=len(self.counts)))


class DriftCard(Record):
    """What a model was made with, in counts."""

    version: Literal[2] = 2
    """Cards of version 1 counted what the gate said of cut-off lungs by another classifier."""
    model: str
    checkpoint_digest: str
    """Of the model, as its identity tells it."""
    examples_digest: str
    """Of the build run."""
    created_at: datetime
    films: int
    """Films of the train split."""
    reports: int
    """Drafts that the model wrote of films it was not trained on."""
    measures: tuple[Measure, ...]

    @classmethod
    def read(cls, path: Path) -> "DriftCard":
        """Read a card.

        Raises:
            DataError: There is none, or it is none.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"{path}: there is no such file. Make it: radlet drift reference.") from None
        except ValidationError:
            raise DataError(
                f"{path}: is no drift reference of this version of radlet. Make it anew: radlet drift reference."
            ) from None

    def write(self, path: Path) -> None:
        """Write the card, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.model_dump_json(indent=1) + "\n")


def make_measures(observed: Sequence[Observed]) -> tuple[Measure, ...]:
    """Return every measure of which there are values enough."""
    kinds = {name: (kind, None) for name, kind in NUMBERS.items()} | WORDS
    found: list[Measure] = []
    for name, (kind, labels) in kinds.items():
        pairs = [(one.scanner, one.values[name]) for one in observed if name in one.values]
        values = [value for _, value in pairs]
        if len(values) < LEAST_VALUES:
            continue
        edges = None if labels else edges_of([float(value) for value in values])
        bins = len(labels) if labels else len(edges or ()) - 1
        empty = Measure(name=name, kind=kind, edges=edges, labels=labels, counts=(0,) * bins)
        known = [name for name, count in Counter(s for s, _ in pairs if s).items() if count >= LEAST_OF_SCANNER]
        by_scanner = {name: empty.count(value for scanner, value in pairs if scanner == name) for name in sorted(known)}
        found.append(empty.model_copy(update={"counts": empty.count(values), "by_scanner": by_scanner}))
    return tuple(found)


def edges_of(values: Sequence[float]) -> tuple[float, ...]:
    """Return edges of bins that hold a tenth of the values each.

    A value that many share gets a bin of its own, so that it is seen when they come to differ.
    """
    tenths = np.quantile(values, np.arange(1, _BINS) / _BINS, method="higher")
    inner, times = np.unique(tenths, return_counts=True)
    shared = np.nextafter(inner[times > 1], np.inf)
    inner = np.unique(np.concatenate([inner, shared]))
    return tuple(float(edge) for edge in (min(values), *inner, max(values)))
