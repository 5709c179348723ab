"""Decide which patients train, tune and judge, and prove that none does two of these; used by `build`.

A split is a function of the patient's id and the seed alone, so it stays the same when patients are added, removed or
reordered, and two machines agree on it without sharing a list.
"""

import hashlib
from collections.abc import Iterable, Mapping

from radlet.core.errors import DataError
from radlet.core.records import SPLITS, Example, Split

_NAMED_AT_MOST = 5


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


def check_leakage(examples: Iterable[Example]) -> None:
    """Refuse examples of which a patient, a study or a film stands in more than one split.

    Raises:
        DataError: Counts what leaks by kind, names a few of the ids and the splits they are in.
    """
    seen: dict[str, dict[str, set[Split]]] = {"patient": {}, "study": {}, "film": {}}
    for example in examples:
        held = (("patient", (example.patient_id,)), ("study", (example.study_id,)), ("film", example.image_paths))
        for kind, ids in held:
            for name in ids:
                seen[kind].setdefault(name, set()).add(example.split)
    leaks = {kind: {name: splits for name, splits in ids.items() if len(splits) > 1} for kind, ids in seen.items()}
    found = [_describe(kind, leaking) for kind, leaking in leaks.items() if leaking]
    if found:
        raise DataError(
            f"Splits leak: {'; '.join(found)}. A patient, a study and a film may stand in one split only: mend the "
            "split column of the source, or leave it out and let `build` assign splits by patient."
        )


def _describe(kind: str, leaking: Mapping[str, set[Split]]) -> str:
    named = [f"{name} ({', '.join(s for s in SPLITS if s in leaking[name])})" for name in sorted(leaking)]
    rest = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
    return f"{len(named)} of kind {kind} in more than one split: {', '.join(named[:_NAMED_AT_MOST])}{rest}"
