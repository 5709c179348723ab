"""What the input gate of the reading room says of real films: true frontals that it stops, others that it lets pass.

    python bench/input_gate.py ../shared/data [--films 1000] [--half report] [--curves] [--json FILE]

Films come without a header, as an upload of a picture does; DICOM objects come with theirs. Patients are cut in two
halves by a hash of their id: limits may be chosen on ``tune``, figures are given of ``report``. Prints, for each group
of films, the share that is refused and warned of, by reason, with Wilson intervals of 95 %.
"""

import argparse
import hashlib
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np

from radlet.core.errors import DataError
from radlet.core.records import ImageRecord
from radlet.data.images import read_film_bytes
from radlet.data.quality.reduced import reduce_film
from radlet.reading.gate import GateSettings
from radlet.reading.opening import read_received

SETS = ("nih", "iu_xray", "roco")


def half_of(row):
    patient = str(row.get("patient_id") or row["id"])
    return ("tune", "report")[hashlib.sha256(patient.encode()).digest()[0] % 2]


def group_of(name, row):
    if name == "roco":
        return "roco, chest film" if row["chest_xray"] else "roco, other"
    return f"{name}, {'lateral' if row.get('view') == 'lateral' else 'frontal'}"


def rows_of(data, name, half, most):
    lines = [
        json.loads(line)
        for split in ("train", "dev")
        for line in (data / name / f"{split}.jsonl").open(encoding="utf-8")
    ]
    rows = [row for row in lines if half in ("both", half_of(row))]
    order = np.random.default_rng(0).permutation(len(rows))[:most]
    return [rows[index] for index in order]


def said(content, settings):
    """Return the gate's outcome and its reasons; a file that cannot be read is stopped before the gate."""
    try:
        verdict = read_received(content, settings).verdict
    except DataError:
        return "unreadable", ()
    if not verdict.passed:
        return "refuse", tuple(reason.code for reason in verdict.reasons if reason.action == "refuse")
    return ("warn" if verdict.reasons else "pass"), tuple(reason.code for reason in verdict.reasons)


def shares(pixels):
    """Return probabilities of a film in display grey (H, W): no chest film, turned, lateral, inverted."""
    one = reduce_film(ImageRecord(image_id="x", path=""), np.ascontiguousarray(pixels))
    return 1 - one.shares.chest, one.shares.turned, one.shares.lateral, one.inverted


def curves(data, most):
    """Print what each limit would refuse, on the half that limits may be chosen on."""
    right, laterals, others, turned, inverted = [], [], [], [], []
    for name in SETS:
        for row in rows_of(data, name, "tune", most):
            pixels = read_film_bytes((data / name / row["image"]).read_bytes()).pixels
            group, found = group_of(name, row), shares(pixels)
            if group.endswith("frontal"):
                right.append(found)
                turned.append(shares(np.rot90(pixels, 1 + len(right) % 3)))
                inverted.append(shares(255 - pixels))
            elif group.endswith("lateral"):
                laterals.append(found)
            elif group == "roco, other":
                others.append(found)
    print(f"tune: {len(right)} frontal, {len(laterals)} lateral films, {len(others)} others")
    faults = {"not_chest": others, "turned": turned, "lateral": laterals, "inverted": inverted}
    for place, (reason, films) in enumerate(faults.items()):
        print(f"\n{reason}: limit, frontal films refused, {reason} films found")
        for limit in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999):
            false, found = (np.mean(np.array(rows)[:, place] > limit) for rows in (right, films))
            print(f"  {limit:<7} {100 * false:6.2f} % {100 * found:6.1f} %")


def interval(count, total, z=1.96):
    """Return the Wilson interval of a share."""
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return middle - reach, middle + reach


def told(count, total):
    low, high = interval(count, total)
    return f"{100 * count / total:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--films", type=int, default=10_000, help="most films of a set")
    parser.add_argument("--half", choices=("tune", "report", "both"), default="report")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--curves", action="store_true", help="what each limit would refuse, on the half `tune`")
    given = parser.parse_args()
    if given.curves:
        curves(given.data, given.films)
        return
    settings = GateSettings()
    outcomes, reasons, totals = Counter(), Counter(), Counter()
    for name in SETS:
        for row in rows_of(given.data, name, given.half, given.films):
            group = group_of(name, row)
            outcome, codes = said((given.data / name / row["image"]).read_bytes(), settings)
            totals[group] += 1
            outcomes[group, outcome] += 1
            reasons.update((group, outcome, code) for code in codes)
        print(f"{name} done", flush=True)
    table = {}
    for group, total in totals.items():
        print(f"\n{group}: {total} films")
        table[group] = {"films": total}
        for outcome in ("refuse", "unreadable", "warn", "pass"):
            count = outcomes[group, outcome]
            by = {code: many for (g, o, code), many in reasons.items() if (g, o) == (group, outcome)}
            table[group][outcome] = {"count": count, "by": by}
            listed = ", ".join(f"{code} {many}" for code, many in sorted(by.items(), key=lambda item: -item[1]))
            print(f"  {outcome:10} {told(count, total):26} {listed}")
    print("\nDICOM objects, one by one")
    for path in sorted((given.data / "dicom").glob("*.dcm")):
        outcome, codes = said(path.read_bytes(), settings)
        table[path.name] = {outcome: codes}
        print(f"  {path.name:45} {outcome:10} {', '.join(codes)}")
    if given.json:
        given.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
