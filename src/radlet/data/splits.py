"""Decide which patients train, tune and judge, and prove that none does two of these; used by `build`.

A split is a function of the patient's id and the seed alone, so it stays the same when patients are added, removed or
reordered, and two machines agree on it without sharing a list.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Split
from radlet.data.manifests import read_columns

_NAMED_AT_MOST = 5
_IDS_AT_ONCE = 2_000_000
_KINDS = {"patient": "patient_id", "study": "study_id", "film": "image_paths"}
_CODES = 4
"""Power of two above the number of splits."""


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

    Works on 64-bit hashes of the ids, a part of them at a time, so memory does not grow with the number of examples.

    Returns:
        ``split -> number of patients``, short by one for two patients whose hashes are equal (of 10 million patients,
        that happens to one set in 100,000).

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


def _ids(path: Path, column: str) -> Iterator[tuple[list[str], list[int]]]:
    """Yield ids and, by number, the splits they stand in, in batches."""
    codes = {split: code for code, split in enumerate(SPLITS)}
    for batch in read_columns(path, [column, "split"]):
        if column != "image_paths":
            yield batch[column], [codes[split] for split in batch["split"]]
            continue
        films = [json.loads(paths) for paths in batch[column]]
        yield (
            [film for paths in films for film in paths],
            [codes[split] for paths, split in zip(films, batch["split"], strict=True) for _ in paths],
        )


def _several(path: Path, column: str) -> tuple[Counter[str], set[int]]:
    """Count the ids of each split, and return the hashes of those that seem to stand in several."""
    counts: Counter[str] = Counter()
    suspects: set[int] = set()
    num_parts = 1 + sum(len(ids) for ids, _ in _ids(path, column)) // _IDS_AT_ONCE
    for part in range(num_parts):
        hashes = [
            _hashes(ids)[chosen] | np.array(codes, np.int64)[chosen]
            for ids, codes in _ids(path, column)
            for chosen in [_hashes(ids) // _CODES % num_parts == part]
        ]
        keys = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, np.int64)
        counts.update({split: int(np.count_nonzero(keys % _CODES == code)) for code, split in enumerate(SPLITS)})
        own = keys - keys % _CODES
        suspects.update(own[1:][own[1:] == own[:-1]].tolist())
    return counts, suspects


def _hashes(ids: list[str]) -> NDArray[np.int64]:
    """Return a hash of each id whose lowest bits are free for the number of a split."""
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    return hashes - hashes % _CODES


def _confirm(path: Path, column: str, suspects: set[int]) -> dict[str, set[Split]]:
    """Return the ids that do stand in several splits, of those with the given hashes."""
    seen: dict[str, set[Split]] = {}
    for ids, codes in _ids(path, column):
        for name, own, code in zip(ids, _hashes(ids).tolist(), codes, strict=True):
            if own in suspects:
                seen.setdefault(name, set()).add(SPLITS[code])
    return {name: splits for name, splits in seen.items() if len(splits) > 1}


def _describe(kind: str, leaking: Mapping[str, set[Split]]) -> str:
    named = [f"{name} ({', '.join(s for s in SPLITS if s in leaking[name])})" for name in sorted(leaking)]
    rest = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
    return f"{len(named)} of kind {kind} in more than one split: {', '.join(named[:_NAMED_AT_MOST])}{rest}"
