"""Statement F1 at equal length: what a draft says after as many words as its reference has is not read.

A draft that goes on can only win recall, in most scores, by what it says late; here it cannot, and it is not punished
for it either (`length_ratio` tells). Cutting all systems to one length before scoring is how summaries were compared.
"""

from collections.abc import Sequence

from radlet.core.statements import Statement
from radlet.metrics.base import Floats, Metric, PlacedStatements
from radlet.metrics.statement_f1 import SIMPLE


class StatementF1AtEqualLength(Metric):
    """`statement_f1_simple` of drafts read no further than their reference is long, in 0..1.

    Statistics: items in both, items of the references, items of the drafts.
    """

    reads = "placed_statements"
    empty = SIMPLE.empty
    source = "radlet: docs/metrics.md; the limit of length is that of DUC 2004 and of ROUGE's option -l (Lin 2004)"

    def statistics(self, references: Sequence[PlacedStatements], predictions: Sequence[PlacedStatements]) -> Floats:
        """Count the items of each pair, shape (n, 3)."""
        drafts = [_cut(draft, true.num_words) for true, draft in zip(references, predictions, strict=True)]
        return SIMPLE.statistics([true.statements for true in references], drafts)

    def score(self, totals: Floats) -> Floats:
        """Return twice the items in both over the items of either."""
        return SIMPLE.score(totals)

    def judged(self, totals: Floats) -> Floats:
        """Return the items of the references and of the drafts."""
        return SIMPLE.judged(totals)


def _cut(draft: PlacedStatements, num_words: int) -> list[Statement]:
    return [each for each, before in zip(draft.statements, draft.words_before, strict=True) if before < num_words]


STATEMENT_F1_AT_EQUAL_LENGTH = StatementF1AtEqualLength()
