"""Print how well the rule labeller agrees with the MeSH-derived gold labels of the Indiana reports, and how fast it is.

    python bench/labeller_agreement.py [../shared/data] [--errors OBSERVATION --part PART]

The rules were tuned on the half of the train studies whose hash is even ("tuned"); "held" is the other half, "dev" the
development file. A report is findings plus impression; studies without any text are left out. The gold knows no
uncertainty, so both ways of counting it are printed.
"""

import argparse
import csv
import hashlib
import json
import time
from pathlib import Path

from radlet.core.records import State
from radlet.data.observations import label_report

SHARED = {
    "Atelectasis": ("Atelectasis",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Pleural Effusion": ("Effusion",),
    "Pneumonia": ("Pneumonia",),
    "Pneumothorax": ("Pneumothorax",),
    "Consolidation": ("Consolidation",),
    "Edema": ("Edema",),
    "Lung Lesion": ("Mass", "Nodule"),
}
"""Our observation -> the gold columns of which any counts."""

Row = tuple[str, str, dict[str, bool]]


def load(data_dir: Path) -> dict[str, list[Row]]:
    """Return the rows (study id, text, gold) of each part."""
    with (data_dir / "text/negbio_openi_gold14.csv").open() as file:
        gold = {row["filename"]: row for row in csv.DictReader(file)}
    parts: dict[str, list[Row]] = {"tuned": [], "held": [], "dev": []}
    for split in ("train", "dev"):
        for line in (data_dir / f"text/iu_reports.{split}.jsonl").read_text().splitlines():
            study = json.loads(line)
            text = " ".join(study[name] for name in ("findings", "impression") if study[name])
            row = gold.get(study["study_id"])
            if not text or row is None:
                continue
            even = hashlib.sha256(study["study_id"].encode()).digest()[0] % 2 == 0
            part = "dev" if split == "dev" else "tuned" if even else "held"
            truth = {name: any(row[column] == "1" for column in columns) for name, columns in SHARED.items()}
            parts[part].append((study["study_id"], text, truth))
    return parts


def f1(tp: int, fp: int, fn: int) -> float:
    """Return F1, 0 where there is nothing to find and nothing was found."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def counts(rows: list[Row], positive: set[State]) -> dict[str, tuple[int, int, int]]:
    """Return true positives, false positives and false negatives of each shared observation."""
    labelled = [(label_report(text), truth) for _, text, truth in rows]
    found = {}
    for name in SHARED:
        pairs = [(states[name] in positive, truth[name]) for states, truth in labelled]
        found[name] = (pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))
    return found


def total(found: dict[str, tuple[int, int, int]]) -> tuple[int, int, int]:
    """Return the counts of all observations together."""
    tp, fp, fn = (sum(column) for column in zip(*found.values(), strict=True))
    return tp, fp, fn


def micro_f1(rows: list[Row], positive: set[State]) -> float:
    """Return the micro-F1 over the shared observations."""
    return f1(*total(counts(rows, positive)))


def report(name: str, rows: list[Row], positive: set[State]) -> None:
    """Print precision, recall and F1 of each shared observation and of all together."""
    print(f"\n{name}: {len(rows)} reports\n{'observation':<18}{'gold':>6}{'prec':>7}{'rec':>7}{'F1':>7}")
    found = counts(rows, positive)
    for observation, (tp, fp, fn) in [*found.items(), ("micro", total(found))]:
        precision, recall = tp / max(1, tp + fp), tp / max(1, tp + fn)
        print(f"{observation:<18}{tp + fn:>6}{precision:>7.3f}{recall:>7.3f}{f1(tp, fp, fn):>7.3f}")


def errors(rows: list[Row], observation: str, positive: set[State]) -> None:
    """Print the reports on which one observation disagrees."""
    for study_id, text, truth in rows:
        state = label_report(text)[observation]
        if (state in positive) != truth[observation]:
            print(f"{'FN' if truth[observation] else 'FP'} {study_id} {state}: {text}\n")


def main() -> None:
    """Print the tables, or the errors of one observation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--errors", choices=sorted(SHARED))
    parser.add_argument("--part", choices=("tuned", "held", "dev"), default="tuned")
    args = parser.parse_args()
    parts = load(args.data_dir)
    positive = {State.POSITIVE, State.UNCERTAIN}
    if args.errors:
        errors(parts[args.part], args.errors, positive)
        return
    texts = [text for rows in parts.values() for _, text, _ in rows]
    begun = time.process_time()
    for text in texts:
        label_report(text)
    print(f"{len(texts)} different reports, first reading: {len(texts) / (time.process_time() - begun):,.0f} a second")
    for name, rows in parts.items():
        report(f"{name}, uncertain counts as positive", rows, positive)
        report(f"{name}, uncertain counts as negative", rows, {State.POSITIVE})


if __name__ == "__main__":
    main()
