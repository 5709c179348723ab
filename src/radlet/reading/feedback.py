"""What readers made of drafts, as data: how much they changed, and pairs and corrections to learn from.

Only studies that are signed now count, each with its newest signature and the draft that the signer saw.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from PIL import Image
from rapidfuzz.distance import Levenshtein
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from radlet.core.errors import ConfigError, DataError
from radlet.core.runs import write_atomically
from radlet.data.deidentify import remove_identifiers
from radlet.data.images import read_film
from radlet.data.pseudonyms import Pseudonyms
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, SignatureRow, StudyRow

PREFERENCES = "preferences.jsonl"
CORRECTIONS = "corrections.jsonl"
REPORT = "report.json"
_FILMS = "images"
_NAME_PARTS = re.compile(r"[\^=,\s]+")
"""What stands between the parts of a Person Name (PS3.5 6.2)."""


@dataclass(frozen=True)
class SignedDraft:
    """A signed report beside the draft that its signer saw."""

    study: StudyRow
    signature: SignatureRow
    draft: DraftRow

    @property
    def edit_distance(self) -> float:
        """How much was changed, 0..1."""
        return edit_distance(self.draft.text, self.signature.text)


@dataclass(frozen=True)
class SignedChange:
    """How much of a draft was changed before it was signed, without the texts.

    Attributes:
        signed_at: When.
        model: Who wrote the draft.
        checkpoint_digest: Likewise.
        scanner: That took the study, where known.
        edit_distance: 0..1.
    """

    signed_at: datetime
    model: str
    checkpoint_digest: str
    scanner: str | None
    edit_distance: float


def edit_distance(draft: str, signed: str) -> float:
    """Return insertions, deletions and replacements of words over the length of the longer text, 0..1."""
    return float(Levenshtein.normalized_distance(draft.split(), signed.split()))


def signed_changes(store: Store, since: datetime) -> list[SignedChange]:
    """Return how much was changed in the drafts that `signed_drafts` returns, the newest first, and read no more."""
    draft = (DraftRow.model, DraftRow.checkpoint_digest, DraftRow.text)
    wanted = (
        select(SignatureRow.study_id, SignatureRow.signed_at, SignatureRow.text, StudyRow.scanner, *draft)
        .join(StudyRow, SignatureRow.study_id == StudyRow.id)
        .outerjoin(DraftRow, SignatureRow.draft_id == DraftRow.id)
        .where(SignatureRow.signed_at >= since, StudyRow.state == "signed")
        .order_by(SignatureRow.signed_at.desc(), SignatureRow.id)
    )
    found: dict[str, SignedChange | None] = {}
    with store.reading() as session:
        for study_id, signed_at, text, scanner, model, digest, drafted in session.execute(wanted):
            if study_id not in found:
                distance = edit_distance(drafted, text) if drafted is not None else None
                found[study_id] = (
                    None if distance is None else SignedChange(signed_at, model, digest, scanner, distance)
                )
    return [change for change in found.values() if change]


def signed_drafts(store: Store, since: datetime | None = None) -> tuple[list[SignedDraft], Counter[str]]:
    """Return the signed studies that had a draft, in the order of their signatures, and what else was signed.

    Args:
        store: Of the reading room.
        since: Only what was signed from then on.

    Returns:
        The drafts with their reports; and how many signatures are left out, by reason: ``reopened`` (not signed now),
        ``superseded`` (signed again later) and ``no_draft``.
    """
    wanted = (
        select(SignatureRow, StudyRow, DraftRow)
        .join(StudyRow, SignatureRow.study_id == StudyRow.id)
        .outerjoin(DraftRow, SignatureRow.draft_id == DraftRow.id)
        .options(selectinload(StudyRow.images))
        .order_by(SignatureRow.signed_at.desc(), SignatureRow.id)
    )
    if since:
        wanted = wanted.where(SignatureRow.signed_at >= since)
    found: list[SignedDraft] = []
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    with store.reading() as session:
        for signature, study, draft in session.execute(wanted):
            if study.state != "signed":
                left_out["reopened"] += 1
            elif study.id in seen:
                left_out["superseded"] += 1
            elif draft is None:
                left_out["no_draft"] += 1
            else:
                found.append(SignedDraft(study, signature, draft))
            seen.add(study.id)
    return found[::-1], left_out


def statistics(signed: list[SignedDraft]) -> list[dict[str, Any]]:
    """Return, for each day and model, how many drafts were signed, how much was changed and how long it took."""
    groups: dict[tuple[date, str, str], list[SignedDraft]] = {}
    for one in signed:
        key = (one.signature.signed_at.date(), one.draft.model, one.draft.checkpoint_digest)
        groups.setdefault(key, []).append(one)
    return [
        {"day": day.isoformat(), "model": model, "checkpoint_digest": digest, **_numbers(members)}
        for (day, model, digest), members in sorted(groups.items())
    ]


def _numbers(members: list[SignedDraft]) -> dict[str, Any]:
    distances = [one.edit_distance for one in members]
    times = [one.signature.reading_s for one in members if one.signature.reading_s is not None]
    return {
        "num_signed": len(members),
        "num_unchanged": sum(distance == 0 for distance in distances),
        "edit_distance_mean": round(fmean(distances), 4),
        "edit_distance_median": round(median(distances), 4),
        "num_timed": len(times),
        "reading_s_median": round(median(times), 1) if times else None,
    }


def export_feedback(
    store: Store, out: Path, pseudonyms: Pseudonyms, since: datetime | None = None, actor: str = "export"
) -> dict[str, Any]:
    """Write what can be learnt from signed reports into a folder that is new or empty.

    ``preferences.jsonl``: one line for each draft that was changed, `chosen` the signed text and `rejected` the draft.
    ``corrections.jsonl``: one line for each signed study, as the source `folder` of `ingest` reads it. Films are PNG in
    display grey without a header. Identifiers are pseudonyms, and texts have passed the rules that remove identifiers;
    what the rules miss, and text burned into films, is for `ingest` and its checks to find.

    Args:
        store: Of the reading room.
        out: The folder.
        pseudonyms: Turn identifiers into others that tell nothing without the key.
        since: Only what was signed from then on.
        actor: Who wants it; noted in the audit log.

    Returns:
        What ``report.json`` holds: counts, and what was left out by reason.

    Raises:
        ConfigError: The folder holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"--out {out}: is not empty. Give a new folder.")
    signed, left_out = signed_drafts(store, since)
    # Above it folders are made as others are.
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    (out / _FILMS).mkdir(mode=0o700)
    corrections: list[dict[str, Any]] = []
    preferences: list[dict[str, Any]] = []
    for one in signed:
        row = _correction(one, pseudonyms)
        try:
            _write_film(store, one, out / row["image"])
        except DataError:
            left_out["film_unreadable"] += 1
            continue
        corrections.append(row)
        pair = _preference(one, row)
        if pair["chosen"] == pair["rejected"]:
            left_out["unchanged_no_pair"] += 1
        else:
            preferences.append(pair)
    write_atomically(out / CORRECTIONS, _lines(corrections))
    write_atomically(out / PREFERENCES, _lines(preferences))
    report = {
        "num_corrections": len(corrections),
        "num_preferences": len(preferences),
        "left_out": dict(sorted(left_out.items())),
        "checkpoints": dict(sorted(Counter(pair["checkpoint_digest"] for pair in preferences).items())),
    }
    write_atomically(out / REPORT, json.dumps(report, indent=2) + "\n")
    store.note(actor, "feedback.export", "feedback", corrections=len(corrections), preferences=len(preferences))
    return report


def _text(text: str, study: StudyRow) -> str:
    """Return a text without identifiers: the patient's own, which the room knows, and what the rules find."""
    names = _NAME_PARTS.split(study.patient_name or "")
    own = {word for word in (*names, study.patient_id, study.accession_number) if word and len(word) > 1}
    if own:
        # The longest first: a name may begin with another one. `radlet.data.cleaning` knows the mark.
        listed = "|".join(re.escape(word) for word in sorted(own, key=len, reverse=True))
        text = re.sub(rf"(?<!\w)(?:{listed})(?!\w)", "XXXX", text, flags=re.IGNORECASE)
    return remove_identifiers(text)


def _correction(one: SignedDraft, pseudonyms: Pseudonyms) -> dict[str, Any]:
    study, image = one.study, next(image for image in one.study.images if image.id == one.draft.image_id)
    image_id = pseudonyms.of("image", image.id)
    return {
        "id": image_id,
        "study_id": pseudonyms.of("study", study.study_uid or study.id),
        # Films without a header name no patient: each study is then one of its own.
        "patient_id": pseudonyms.of("patient", study.patient_id or study.id),
        "image": f"{_FILMS}/{image_id}.png",
        "view": image.view,
        "indication": _text(study.indication, study) if study.indication else None,
        "findings": _text(one.signature.text, study),
    }


def _preference(one: SignedDraft, correction: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: correction[key] for key in ("id", "study_id", "patient_id", "image", "indication")},
        "prompt": _text(one.draft.prompt, one.study),
        "chosen": correction["findings"],
        "rejected": _text(one.draft.text, one.study),
        "model": one.draft.model,
        "checkpoint_digest": one.draft.checkpoint_digest,
        "edit_distance": round(one.edit_distance, 4),
        "reading_s": one.signature.reading_s,
    }


def _write_film(store: Store, one: SignedDraft, path: Path) -> None:
    image = next(image for image in one.study.images if image.id == one.draft.image_id)
    Image.fromarray(read_film(store.path_of(image)).pixels).save(path, "PNG")


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"
