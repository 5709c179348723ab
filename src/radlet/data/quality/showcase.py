"""What the page of a quality run shows: the numbers of every check, its worst films, and some of the copies."""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from radlet.data.quality.base import FilmCheck, Group, QualityCheck, Scope
from radlet.data.quality.judging import UNREADABLE, FilmQuality

SCOPES: tuple[Scope, ...] = ("several splits", "several patients", "one patient")


@dataclass(frozen=True)
class Example:
    """A film to be shown: its id, where it lies, and the number for which it is shown."""

    image_id: str
    path: str
    number: float | None


class Showcase:
    """Gathers while the judged films pass by; holds four bytes a number, and few films.

    Args:
        checks: By name.
        groups: What the checks of the whole set found.
        num_examples: Films to hold of each check.
    """

    def __init__(self, checks: Mapping[str, QualityCheck], groups: Sequence[Group], num_examples: int) -> None:
        self._checks = {name: check for name, check in checks.items() if isinstance(check, FilmCheck)}
        self._num_examples = num_examples
        self.numbers = {name: array("f") for name in self._checks}
        self._worst: dict[str, list[tuple[float, str, Example]]] = {name: [] for name in [*self._checks, UNREADABLE]}
        of_films = [group for group in groups if group.of == "films"]
        self._shown = sorted(of_films, key=lambda group: SCOPES.index(group.scope))[:num_examples]
        self._wanted = {image_id for group in self._shown for image_id in group.similarity}
        self._paths: dict[str, str] = {}

    def add(self, row: FilmQuality) -> None:
        """Take note of one film."""
        if row.image_id in self._wanted:
            self._paths[row.image_id] = row.path
        for name, check in self._checks.items():
            number = row.numbers.get(name)
            if number is not None:
                self.numbers[name].append(number)
                if row.failed.get(name, "ignore") != "ignore":
                    self._hold(name, number if check.worse == "above" else -number, row, number)
        if UNREADABLE in row.failed:
            self._hold(UNREADABLE, 0.0, row, None)

    def examples(self) -> dict[str, list[Example]]:
        """Return the worst films of each check that any film failed, the worst first."""
        return {name: [entry[2] for entry in sorted(held, reverse=True)] for name, held in self._worst.items() if held}

    def copies(self) -> list[tuple[Group, list[Example]]]:
        """Return some groups of copies, the film that stays first; those over several splits come first."""
        return [(group, [self._example(group, name) for name in _kept_first(group)]) for group in self._shown]

    def _hold(self, name: str, badness: float, row: FilmQuality, number: float | None) -> None:
        entry = (badness, row.image_id, Example(row.image_id, row.path, number))
        held = self._worst[name]
        if len(held) < self._num_examples:
            heapq.heappush(held, entry)
        else:
            heapq.heappushpop(held, entry)

    def _example(self, group: Group, image_id: str) -> Example:
        return Example(image_id, self._paths[image_id], group.similarity[image_id])


def count_groups(groups: Iterable[Group], checks: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Return check -> scope -> how many groups, and how many members beyond the one that stays."""
    found: dict[str, Counter[str]] = {name: Counter() for name in checks}
    surplus: dict[str, Counter[str]] = {name: Counter() for name in checks}
    for group in groups:
        found[group.check][group.scope] += 1
        surplus[group.check][group.scope] += len(group.surplus)
    return {
        name: {scope: {"groups": found[name][scope], "surplus": surplus[name][scope]} for scope in SCOPES}
        for name in found
    }


def _kept_first(group: Group) -> list[str]:
    return [group.kept, *group.surplus]
