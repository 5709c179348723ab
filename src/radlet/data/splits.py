"""Decide which patients train, tune and judge, and prove that none does two of these; used by `build`.

A split is a function of the patient's id and the seed alone, so it stays the same when patients are added, removed or
reordered, and two machines agree on it without sharing a list.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Split
from radlet.data.distinct import NUM_TAGS, Ids, hash_ids, tagged_hashes
from radlet.data.manifests import read_columns

_NAMED_AT_MOST = 5
_KINDS = {"patient": "patient_id", "study": "study_id", "film": "image_paths"}


def assign_split(patient_id: str, shares: Mapping[Split, float], seed: int) -> Split:
    """Return the split of a patient: the first 64 bits of SHA-256 of ``seed:patient_id``, cut by the shares.

    Shares are laid end to end in the order of `SPLITS`; raising the first one only ever moves patients into it.

    Args:
        patient_id: Equal ids always land in the same split.
        shares: Share of the patients in each split, 0..1, adding up to 1; a split left out gets none.
        seed: Another seed gives another, independent assignment.

    Raises:
        DataError: The shares are negative or do not add up to 1.
    """
    if any(share < 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise DataError(f"Shares of splits must be 0 or more and add up to 1, not to {sum(shares.values()):g}.")
    digest = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    wanted = [split for split in SPLITS if shares.get(split, 0.0) > 0]
    upper = 0.0
    for split in wanted:
        upper += shares[split]
        if position < upper:
            return split
    # The shares may fall short of 1 by a rounding error.
    return wanted[-1]


def check_leakage(path: Path) -> Counter[str]:
    """Refuse a file of examples of which a patient, a study or a film stands in more than one split.

    Memory does not grow with the number of examples.

    Returns:
        ``split -> number of patients``, as exact as `radlet.data.distinct`.

    Raises:
        DataError: Counts what leaks by kind, names a few of the ids and the splits they are in.
    """
    found = []
    counts: dict[str, Counter[str]] = {}
    for kind, column in _KINDS.items():
        counts[kind], suspects = _several(path, column)
        leaking = _confirm(path, column, suspects) if suspects else {}
        if leaking:
            found.append(_describe(kind, leaking))
    if found:
        raise DataError(
            f"Splits leak: {'; '.join(found)}. A patient, a study and a film may stand in one split only: mend the "
            "split column of the source, or leave it out and let `build` assign splits by patient."
        )
    return counts["patient"]


def _ids(path: Path, column: str) -> Ids:
    """Yield ids and, by number, the splits they stand in, in batches."""
    codes = {split: code for code, split in enumerate(SPLITS)}
    for batch in read_columns(path, [column, "split"]):
        own = np.array([codes[split] for split in batch["split"]], np.int64)
        if column != "image_paths":
            yield batch[column], own
            continue
        films = [json.loads(paths) for paths in batch[column]]
        yield [film for paths in films for film in paths], own.repeat([len(paths) for paths in films])


def _several(path: Path, column: str) -> tuple[Counter[str], set[int]]:
    """Count the ids of each split, and return the hashes of those that seem to stand in several."""
    counts: Counter[str] = Counter()
    suspects: set[int] = set()
    for tagged in tagged_hashes(lambda: _ids(path, column)):
        tags = tagged % NUM_TAGS
        counts.update({split: int(np.count_nonzero(tags == code)) for code, split in enumerate(SPLITS)})
        hashes = tagged - tags
        suspects.update(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    return counts, suspects


def _confirm(path: Path, column: str, suspects: set[int]) -> dict[str, set[Split]]:
    """Return the ids that do stand in several splits, of those with the given hashes."""
    seen: dict[str, set[Split]] = {}
    for ids, codes in _ids(path, column):
        for name, own, code in zip(ids, hash_ids(ids).tolist(), codes.tolist(), strict=True):
            if own in suspects:
                seen.setdefault(name, set()).add(SPLITS[code])
    return {name: splits for name, splits in seen.items() if len(splits) > 1}


def _describe(kind: str, leaking: Mapping[str, set[Split]]) -> str:
    named = [f"{name} ({', '.join(s for s in SPLITS if s in leaking[name])})" for name in sorted(leaking)]
    rest = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
    return f"{len(named)} of kind {kind} in more than one split: {', '.join(named[:_NAMED_AT_MOST])}{rest}"
