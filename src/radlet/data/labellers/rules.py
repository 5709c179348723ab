"""The rules of `radlet.data.observations` as a labeller."""

from collections.abc import Sequence
from typing import Literal

from radlet.core.labeller import Labeller
from radlet.core.records import State
from radlet.data.observations import label_report


class RuleLabeller(Labeller):
    """The lexicon and scope rules that come with radlet; no weights."""

    kind: Literal["rules"] = "rules"

    def label(self, texts: Sequence[str]) -> list[dict[str, State]]:
        """Return the state of each of the 14 observations for every text, in order."""
        return [label_report(text) for text in texts]
