"""One registry per kind of extension: a literal table of ``name -> "module:attribute"`` plus entry points.

Nothing is imported until it is asked for, so listing names costs nothing and heavy libraries load late.
"""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from radlet.core.errors import UnknownNameError


def nearest(name: str, known: list[str]) -> str:
    """Return a did-you-mean clause for `name`, and the list of `known` names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(sorted(known)) or '(none)'}."


class Registry(Mapping[str, Any]):
    """Look up the implementations of one kind by name.

    Args:
        kind: Plural word of the kind, also the entry-point group ``radlet.<kind>``.
        table: Literal ``name -> "module:attribute"`` of what radlet ships.
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(table)
        for point in entry_points(group=f"radlet.{kind}"):
            self._targets.setdefault(point.name, point.value)

    def __getitem__(self, name: str) -> Any:
        """Import and return the named implementation.

        Raises:
            UnknownNameError: No implementation has that name.
        """
        if name not in self._targets:
            raise UnknownNameError(f"No {self.kind} entry is called '{name}'.{nearest(name, list(self._targets))}")
        module, _, attribute = self._targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        """Tell whether the name is known, without importing what it stands for."""
        return name in self._targets

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)
