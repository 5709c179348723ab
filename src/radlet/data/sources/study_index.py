"""Studies put together on disk: what a source that lists films in any order needs to group them, in flat memory."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radlet.data.sources.base import Rejected

_CACHE_KIB = 64 * 1024
_TABLES = f"""
    pragma journal_mode = off;
    pragma synchronous = off;
    pragma locking_mode = exclusive;
    pragma cache_size = -{_CACHE_KIB};
    create table entries (kind text, key text, value text, primary key (kind, key)) without rowid;
    create table studies (number integer primary key, study text unique, patient text, moment text, head text);
    create table parts (number integer, series integer, instance integer, name text, part text,
                        primary key (number, series, instance, name)) without rowid;
    create table rejected (number integer primary key, item text, reason text);
"""
_PRIORS = """
    create table priors as select number, lag(study) over (partition by patient order by moment, study) as prior
                        from studies where moment > '';
    create unique index prior_of on priors (number);
"""
_IN_ORDER = """
    select number, study, prior, head, part from studies
    join parts using (number) left join priors using (number) order by number, series, instance, name
"""


@dataclass(frozen=True)
class Grouped:
    """One study as it was put together.

    Attributes:
        study_id: As it was added.
        prior_study_id: The same patient's study before it, where moments tell.
        head: What was kept of its first film.
        parts: What was kept of each film, and of whatever else belongs to the study, in their order.
    """

    study_id: str
    prior_study_id: str | None
    head: dict[str, Any]
    parts: list[dict[str, Any]]


class StudyIndex:
    """A scratch database; it lives as long as one listing and is worth nothing afterwards."""

    def __init__(self, folder: Path) -> None:
        path = folder / "index.sqlite"
        path.unlink(missing_ok=True)  # of a listing that was killed
        self._path = path
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.executescript(_TABLES)
        self._base.execute("begin")

    def close(self) -> None:
        """Remove the database."""
        self._base.close()
        self._path.unlink(missing_ok=True)

    def put(self, kind: str, key: str, value: str = "") -> bool:
        """Keep a value; of equal keys the first stays. Tell whether the key is new."""
        return self._base.execute("insert or ignore into entries values (?, ?, ?)", (kind, key, value)).rowcount > 0

    def get(self, kind: str, key: str) -> str | None:
        """Return the value of a key, None where there is none."""
        found = self._base.execute("select value from entries where kind = ? and key = ?", (kind, key)).fetchone()
        return None if found is None else str(found[0])

    def count_without(self, kind: str, other: str) -> int:
        """Return how many keys of a kind are no keys of another."""
        query = """select count(*) from entries as e where kind = ?
                   and not exists (select 1 from entries where kind = ? and key = e.key)"""
        return int(self._base.execute(query, (kind, other)).fetchone()[0])

    def study(self, study_id: str) -> tuple[int, dict[str, Any]] | None:
        """Return number and head of a study, None where it is new."""
        found = self._base.execute("select number, head from studies where study = ?", (study_id,)).fetchone()
        return None if found is None else (int(found[0]), json.loads(found[1]))

    def add_study(self, study_id: str, patient_id: str, head: dict[str, Any], moment: str = "") -> int:
        """Take a new study and return its number; `moment` sorts a patient's studies, "" where nobody knows it."""
        row = (study_id, patient_id, moment, json.dumps(head))
        cursor = self._base.execute("insert into studies (study, patient, moment, head) values (?, ?, ?, ?)", row)
        return int(cursor.lastrowid or 0)

    def add_part(self, number: int, order: tuple[int, int, str], part: dict[str, Any]) -> None:
        """Take a film of a study, or what else it has; `order` is its place in the study and must be its own."""
        self._base.execute("insert into parts values (?, ?, ?, ?, ?)", (number, *order, json.dumps(part)))

    def reject(self, item_id: str, reason: str) -> None:
        """Take an item that cannot be used."""
        self._base.execute("insert into rejected (item, reason) values (?, ?)", (item_id, reason))

    def studies(self) -> Iterator[Grouped]:
        """Yield the studies in the order in which they were added."""
        self._base.executescript(_PRIORS)
        current: Grouped | None = None
        number = None
        for row in self._base.execute(_IN_ORDER):
            if current is None or row[0] != number:
                if current is not None:
                    yield current
                number, current = row[0], Grouped(row[1], row[2], json.loads(row[3]), [])
            current.parts.append(json.loads(row[4]))
        if current is not None:
            yield current

    def rejected(self) -> Iterator[Rejected]:
        """Yield the items that cannot be used, in the order in which they were found."""
        for item, reason in self._base.execute("select item, reason from rejected order by number"):
            yield Rejected(item, reason)
