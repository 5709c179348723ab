"""How the cells of published tables are read: ages, sexes, and the columns that hold labels."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from radlet.core.config import Config
from radlet.core.records import AnswerKind

_OLDEST_LIKELY = 120
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class LabelRule(Config):
    """What the cells of a labeller's table (CheXpert's, NegBio's) mean: 1 and 0 are plain, the rest is a choice."""

    uncertain: Literal["positive", "negative", "unknown"] = "unknown"
    """What -1 means; an unknown label has no entry."""
    unmentioned: Literal["negative", "unknown"] = "negative"
    """What a blank cell means in a row that has other cells filled; a row that has none gives no labels. The labellers
    never write 0 for "No Finding", so with ``unknown`` that label is only ever present."""

    def read(self, row: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
        """Return ``name -> 1 or 0`` for the named cells of a row; a cell with any other content is unknown."""
        numbers = {name: _number(row.get(name)) for name in names}
        if all(number is None for number in numbers.values()):
            return {}
        worth = {
            1.0: 1,
            0.0: 0,
            -1.0: {"positive": 1, "negative": 0, "unknown": None}[self.uncertain],
            None: {"negative": 0, "unknown": None}[self.unmentioned],
        }
        found = {name: worth.get(number) for name, number in numbers.items()}
        return {name: value for name, value in found.items() if value is not None}


def read_text(row: Mapping[str, Any], name: str) -> str:
    """Return a cell as stripped text, "" where it is empty or missing."""
    value = row.get(name)
    return "" if value is None else str(value).strip()


def read_age_years(cell: str) -> int | None:
    """Read an age: ``58``, ``58.0``, ``058Y``, and months, weeks and days as DICOM writes them (PS3.5 6.2, AS).

    An age above 120 is a slip of the pen, of which the published sets have some, and counts as unknown.
    """
    match = re.fullmatch(r"(\d{1,3})(?:\.\d*)?([DWMY]?)", cell.strip().upper())
    if not match:
        return None
    years = int(match[1]) // {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}[match[2]]
    return years if years <= _OLDEST_LIKELY else None


def read_sex(cell: str) -> Literal["F", "M"] | None:
    """Read ``F``, ``M``, ``Female``, ``male``; anything else is unknown."""
    letters: dict[str, Literal["F", "M"]] = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}
    return letters.get(cell.strip().upper())


def read_answer_kind(cell: str, answer: str) -> AnswerKind:
    """Read ``CLOSED`` and ``OPEN`` however they are spelt; where a set tells neither, "yes" and "no" are closed."""
    kinds: dict[str, AnswerKind] = {"CLOSED": "closed", "CLOSE": "closed", "OPEN": "open"}
    said: AnswerKind = "closed" if answer.strip(" .").lower() in ("yes", "no") else "open"
    return kinds.get(cell.strip().upper(), said)


def read_words(cell: str) -> tuple[str, ...] | None:
    """Read a list as Python prints it, ``['a', "b"]``, whatever stands between its quoted words; None if it is no list.

    Blanks at the ends and doubled ones within go, and so do words that are empty and words that are told twice.
    """
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    return tuple(dict.fromkeys(_quoted(cell)))


def read_word_lists(cell: str) -> list[tuple[str, ...]]:
    """Read lists within a list as Python prints them, ``[['a', 'b'], ['c']]``; words that are told twice stay."""
    return [words for part in cell.split("]") if (words := tuple(_quoted(part)))]


def _quoted(text: str) -> Iterator[str]:
    words = (" ".join((single or double).split()) for single, double in _QUOTED.findall(text))
    return (word for word in words if word)


def _number(cell: object) -> float | None:
    """Return the number in a cell, None where there is nothing in it; what is neither becomes NaN."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    try:
        return float(str(cell))
    except ValueError:
        return math.nan
