"""Render what `quality` found as one self-contained HTML file: counts, distributions, and films that failed."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radlet.core.errors import DataError
from radlet.data.images import read_film
from radlet.data.quality.base import FilmCheck, Group, QualityCheck
from radlet.data.quality.showcase import SCOPES, Example, Showcase
from radlet.evaluation.pages import page_environment
from radlet.evaluation.pictures import film_uri

_SIDE = 168
"""Longer side of a picture of the contact sheets, in pixels."""
_SHOWN_AS_ZERO = 5e-4
_BINS = 48
_WIDTH, _HEIGHT = 240, 34
_UNREADABLE_SAYS = "Finds films that cannot be read any more, or whose decoder crashed."


@dataclass(frozen=True)
class Distribution:
    """The numbers of a check as a small histogram; lengths in pixels."""

    columns: tuple[tuple[float, float, bool], ...]
    """Left edge and height of each column, and whether films in it fail."""
    limit_x: float
    low: float
    high: float


@dataclass(frozen=True)
class CheckRow:
    """One check of the table."""

    name: str
    says: str
    unit: str
    of: str
    action: str
    limit: float | None
    worse: str
    failed: int
    share: float
    length: float
    """Of its bar, in percent of the longest one."""
    distribution: Distribution | None


@dataclass(frozen=True)
class Picture:
    """One film of a contact sheet; the id is all that is said of it."""

    image_id: str
    film: str | None
    """Data URI; None where the film cannot be read."""
    number: float | None


@dataclass(frozen=True)
class Copies:
    """Films that are the same, the one that stays first."""

    group: Group
    pictures: tuple[Picture, ...]


def render_quality_page(
    about: Mapping[str, Any],
    summary: Mapping[str, Any],
    checks: Mapping[str, QualityCheck],
    showcase: Showcase,
    ingest: Path,
) -> str:
    """Return the page. It says the same of the same films: there is no date on it.

    Args:
        about: `name` and `fill_view` of the run, and the version `radlet`.
        summary: The counts, as in ``summary.json``.
        checks: By name.
        showcase: What to show.
        ingest: Run directory that holds the films.
    """
    environment = page_environment()
    environment.filters |= {"count": "{:,}".format, "percent": _percent, "number": _number}
    rows = _rows(summary, checks, showcase)
    sheets = {name: [_picture(ingest, one) for one in films] for name, films in showcase.examples().items()}
    return environment.get_template("quality.html.j2").render(
        about=about,
        summary=summary,
        rows=rows,
        sheets=[(row, sheets[row.name]) for row in rows if row.name in sheets],
        copies=[Copies(group, tuple(_picture(ingest, one) for one in films)) for group, films in showcase.copies()],
        scopes=SCOPES,
        plot=(_WIDTH, _HEIGHT),
    )


def _rows(summary: Mapping[str, Any], checks: Mapping[str, QualityCheck], showcase: Showcase) -> list[CheckRow]:
    totals = {"films": summary["films"], "studies": summary["studies"]}
    shares = {name: one["failed"] / max(totals[one["of"]], 1) for name, one in summary["checks"].items()}
    longest = max(shares.values(), default=0.0) or 1.0
    rows = []
    for name, one in summary["checks"].items():
        check = checks.get(name)
        rows.append(
            CheckRow(
                name=name,
                says=(type(check).__doc__ or "").split("\n\n")[0] if check else _UNREADABLE_SAYS,
                unit=getattr(check, "unit", ""),
                of=one["of"],
                action=one["action"],
                limit=one["limit"],
                worse=check.worse if isinstance(check, FilmCheck) else "above",
                failed=one["failed"],
                share=shares[name],
                length=100 * shares[name] / longest,
                distribution=_distribution(check, showcase.numbers[name]) if isinstance(check, FilmCheck) else None,
            )
        )
    return sorted(rows, key=lambda row: -row.share)


def _distribution(check: FilmCheck, values: "array[float]") -> Distribution | None:
    """Draw the numbers from the least to the most, the limit among them; rare ones are still seen."""
    if not values:
        return None
    numbers = np.frombuffer(values, np.float32)
    low = min(float(numbers.min()), check.limit)
    high = max(float(numbers.max()), check.limit)
    edges = np.linspace(low, low + ((high - low) or 1.0), _BINS + 1)
    at_limit = int(np.abs(edges - check.limit).argmin())
    if low < check.limit < high:
        # No column holds films on both sides of the limit, or the few that fail would not be seen.
        at_limit = min(max(at_limit, 1), _BINS - 1)
        edges[at_limit] = check.limit
    counts, _ = np.histogram(numbers, edges)
    failing, _ = np.histogram([number for number in numbers.tolist() if check.fails(number)], edges)
    tall = np.sqrt(counts / counts.max()) * _HEIGHT
    columns = tuple(
        (_WIDTH * index / _BINS, max(float(height), 1.0), bool(failing[index]))
        for index, height in enumerate(tall)
        if height
    )
    return Distribution(columns, _WIDTH * at_limit / _BINS, low, high)


def _picture(ingest: Path, example: Example) -> Picture:
    try:
        film = Image.fromarray(read_film(ingest / example.path).pixels)
    except DataError:
        return Picture(example.image_id, None, example.number)
    film.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return Picture(example.image_id, film_uri(np.asarray(film)), example.number)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if 0 < share < 0.01 else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) >= _SHOWN_AS_ZERO else "0"
