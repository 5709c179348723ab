"""What every labeller is: a table with its ``kind`` in a recipe, and a reading of texts.

Here because labellers stand both in `radlet.data` (rules) and in `radlet.models` (learned weights).
"""

from collections.abc import Sequence

from radlet.core.config import Config
from radlet.core.records import State


class Labeller(Config):
    """Base of the labellers; each is a table ``[labeller]`` with its ``kind`` in a build recipe."""

    kind: str
    """Name of the labeller in the registry."""

    def label(self, texts: Sequence[str]) -> list[dict[str, State]]:
        """Return the state of each of the 14 observations for every text, in order."""
        raise NotImplementedError
