"""The audit log: who did what to which study, each line chained to the one before.

The hash of a line covers the hash of the line before it, so that a line that is changed, taken out or put in between
breaks the chain from there on. Cutting off the newest lines leaves the rest unbroken: `radlet audit verify --expect`
takes the last hash that was written down elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from radlet.reading.store.tables import AuditRow, now

FIRST = "0" * 64
"""What stands before the first line."""


@dataclass(frozen=True)
class Verdict:
    """What checking the chain found.

    Attributes:
        num_lines: Lines that were read.
        broken_at: Number of the first line that does not fit, if any.
        last: Hash of the last line.
        expected_found: Whether the line that must be there is.
    """

    num_lines: int
    broken_at: int | None
    last: str
    expected_found: bool = True


def append(session: Session, actor: str, action: str, subject: str, **detail: Any) -> AuditRow:
    """Add a line within the caller's transaction: what is done and its line are kept together or not at all.

    Args:
        session: In a transaction that writes; there is one at a time.
        actor: Name of the account, or what acts by itself, like ``dicom``.
        action: What was done, like ``study.sign``.
        subject: Identifier of what it was done to.
        detail: Identifiers, counts and states; never a patient's name or text.
    """
    last = session.scalars(select(AuditRow).order_by(AuditRow.number.desc()).limit(1)).first()
    # Databases keep microseconds, and JSON no other precision.
    row = AuditRow(
        number=last.number + 1 if last else 1,
        at=now(),
        actor=actor,
        action=action,
        subject=subject,
        detail=detail,
        previous=last.sha256 if last else FIRST,
    )
    row.sha256 = line_hash(row)
    session.add(row)
    session.flush()
    return row


def line_hash(row: AuditRow) -> str:
    """Return the hash that a line should have."""
    at: datetime = row.at
    content = [row.number, at.isoformat(), row.actor, row.action, row.subject, row.detail, row.previous]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def verify(rows: Iterable[AuditRow], expect: str | None = None) -> Verdict:
    """Check the chain from its first line on.

    Args:
        rows: All lines, by number.
        expect: How the hash of a line begins that must be among them.
    """
    previous, count, found = FIRST, 0, not expect
    for number, row in enumerate(rows, 1):
        count = number
        if row.number != number or row.previous != previous or row.sha256 != line_hash(row):
            return Verdict(count, number, previous, found)
        previous = row.sha256
        found = found or bool(expect and previous.startswith(expect))
    return Verdict(count, None, previous, found)
