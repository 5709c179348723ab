"""F1 of what two reports state, entity by entity and relation by relation, by rules and without weights.

It has the three readings that are usual for entity-relation scores, but it is **not** RadGraph F1: entities are the
concepts of `core.statements`, not words, and no learned model reads them. The names keep the two apart.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from radlet.core.statements import Statement
from radlet.metrics.base import Floats, Metric, ratio

Reading = Literal["simple", "partial", "complete"]


@dataclass(frozen=True)
class StatementF1(Metric):
    """Micro F1 over what reports state, denials included, in 0..1.

    Statistics: items in both, items of the references, items of the drafts.

    Attributes:
        reading: "simple": (concept, state). "partial": those, and (concept, attribute) for every side, zone, degree,
            size, change and position. "complete": (concept, state, all its attributes), right only as a whole.
    """

    reading: Reading = "simple"

    reads = "statements"
    empty = "an empty draft states nothing: its whole reference is missed; undefined where neither side states anything"
    source = "radlet: docs/metrics.md; the three readings of RadGraph F1 (Delbrouck et al. 2022), yet not RadGraph F1"

    def statistics(
        self, references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
    ) -> Floats:
        """Count the items of each pair, shape (n, 3)."""
        rows = []
        for reference, draft in zip(references, predictions, strict=True):
            true, drafted = self._items(reference), self._items(draft)
            rows.append(((true & drafted).total(), true.total(), drafted.total()))
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def score(self, totals: Floats) -> Floats:
        """Return twice the items in both over the items of either."""
        return ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2])

    def judged(self, totals: Floats) -> Floats:
        """Return the items of the references and of the drafts."""
        return np.asarray(totals[..., 1] + totals[..., 2])

    def _items(self, statements: Sequence[Statement]) -> Counter[Hashable]:
        items: Counter[Hashable] = Counter()
        for statement in statements:
            entity = (statement.concept, statement.state)
            attributes = tuple(_attributes(statement))
            if self.reading == "complete":
                items[entity, attributes] += 1
                continue
            items[entity] += 1
            if self.reading == "partial":
                items.update((statement.concept, attribute) for attribute in attributes)
        return items


def _attributes(statement: Statement) -> Iterator[tuple[str, Hashable]]:
    for name in ("side", "severity", "size_mm", "change", "position"):
        if (value := getattr(statement, name)) is not None:
            yield name, value
    yield from (("zone", zone) for zone in statement.zones)


SIMPLE = StatementF1()
PARTIAL = StatementF1("partial")
COMPLETE = StatementF1("complete")
