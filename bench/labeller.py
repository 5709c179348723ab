"""Print how well the rule labeller agrees with published labels, by cause where it does not, and how fast it is.

    python bench/labeller.py [../shared/data] [--part tuned held dev] [--errors OBSERVATION]

Gold: the MeSH-derived labels of the Indiana reports. A report is findings plus impression; studies without any text are
left out. The rules were tuned on the train studies whose hash is even ("tuned"); "held" is the other half, "dev" the
development file: both were only counted. The gold knows no uncertainty: an uncertain observation counts as negative,
and the figure for the other way of counting stands beside it. "Named alike" leaves out Lung Lesion, which the gold does
not have and for which Mass or Nodule stands here.
"""

import argparse
import csv
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from radlet.core.records import OBSERVATIONS, State
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

NAMED_ALIKE = tuple(name for name in SHARED if name != "Lung Lesion")
ASSERTED = frozenset({State.POSITIVE})
NOT_DENIED = frozenset({State.POSITIVE, State.UNCERTAIN})

OTHER_TERMS = {
    "Atelectasis": r"Opacity/lung|Airspace|Infiltrate|Volume Loss|hypoinflation",
    "Cardiomegaly": r"Cardiac Shadow/enlarged|Heart Ventricles.*enlarged",
    "Pleural Effusion": r"Costophrenic Angle.*blunted|Thickening/pleura|Hydro",
    "Pneumonia": r"Opacity/lung|Airspace|Infiltrate|Consolidation|Tuberculosis",
    "Pneumothorax": r"Hydropneumothorax",
    "Consolidation": r"Opacity/lung|Airspace|Infiltrate|Pneumonia",
    "Edema": r"Pulmonary Congestion|Heart Failure|Markings.*interstitial",
    "Lung Lesion": r"(?:Opacity|Density).*round|Granuloma|Cysts|Nipple",
}
"""MeSH terms under which the curators file what CheXpert counts as the observation, or the look of it on the film."""


@dataclass(frozen=True)
class Row:
    """One report, its gold labels and the MeSH terms that they were made from."""

    study_id: str
    text: str
    truth: dict[str, bool]
    terms: tuple[str, ...]


def load(data_dir: Path) -> dict[str, list[Row]]:
    """Return the rows of each part."""
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
            parts[part].append(Row(study["study_id"], text, truth, tuple(study["mesh_major"] or ())))
    return parts


def f1(tp: int, fp: int, fn: int) -> float:
    """Return F1, 0 where there is nothing to find and nothing was found."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def counts(rows: list[Row], positive: Collection[State]) -> dict[str, tuple[int, int, int]]:
    """Return true positives, false positives and false negatives of each shared observation."""
    labelled = [(label_report(row.text), row.truth) for row in rows]
    found = {}
    for name in SHARED:
        pairs = [(states[name] in positive, truth[name]) for states, truth in labelled]
        found[name] = (pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))
    return found


def total(found: dict[str, tuple[int, int, int]], names: Collection[str] = tuple(SHARED)) -> tuple[int, int, int]:
    """Return the counts of several observations together."""
    tp, fp, fn = (sum(column) for column in zip(*(found[name] for name in names), strict=True))
    return tp, fp, fn


def micro_f1(rows: list[Row], positive: Collection[State], names: Collection[str] = tuple(SHARED)) -> float:
    """Return the micro-F1 over the named observations."""
    return f1(*total(counts(rows, positive), names))


def disagreements(rows: list[Row]) -> Iterator[tuple[str, str, Row]]:
    """Yield (observation, cause, row) for every asserted observation that the gold lacks, and the reverse."""
    for row in rows:
        states = label_report(row.text)
        for name in SHARED:
            if (states[name] is State.POSITIVE) == row.truth[name]:
                continue
            if not row.truth[name]:
                other = any(re.search(OTHER_TERMS[name], term) for term in row.terms)
                yield name, "read, coded under another term" if other else "read, not coded", row
            elif states[name] is State.UNCERTAIN:
                yield name, "coded, hedged in the report", row
            elif states[name] is State.NEGATIVE:
                yield name, "coded, denied in the report", row
            else:
                yield name, "coded, not read in the report", row


def report(name: str, rows: list[Row]) -> None:
    """Print precision, recall and F1 of each shared observation and of all together, and the causes."""
    print(f"\n{name}: {len(rows)} reports\n{'':<18}{'gold':>6}{'prec':>7}{'rec':>7}{'F1':>7}{'F1 with uncertain':>19}")
    strict, wide = counts(rows, ASSERTED), counts(rows, NOT_DENIED)
    lines = [(observation, strict[observation], wide[observation]) for observation in SHARED]
    lines += [("micro, all 8", total(strict), total(wide))]
    lines += [("micro, named alike", total(strict, NAMED_ALIKE), total(wide, NAMED_ALIKE))]
    for label, (tp, fp, fn), others in lines:
        precision, recall = tp / max(1, tp + fp), tp / max(1, tp + fn)
        print(f"{label:<18}{tp + fn:>6}{precision:>7.3f}{recall:>7.3f}{f1(tp, fp, fn):>7.3f}{f1(*others):>19.3f}")
    causes = Counter((cause, observation) for observation, cause, _ in disagreements(rows))
    for cause in sorted({cause for cause, _ in causes}):
        each = {observation: causes[cause, observation] for observation in SHARED if causes[cause, observation]}
        print(f"{sum(each.values()):>5} {cause}: " + ", ".join(f"{name} {count}" for name, count in each.items()))


def samples(data_dir: Path) -> tuple[int, int]:
    """Return how many published samples of the CheXpert labeller are read alike in all 14, and how many there are."""
    names = {"1.0": State.POSITIVE, "0.0": State.NEGATIVE, "-1.0": State.UNCERTAIN, "": State.UNMENTIONED}
    with (data_dir / "text/chexpert_labeler/labeled_reports.csv").open() as file:
        rows = list(csv.DictReader(file))
    alike = [label_report(row["Reports"]) == {name: names[row[name]] for name in OBSERVATIONS} for row in rows]
    return sum(alike), len(alike)


def main() -> None:
    """Print the tables, or the reports on which one observation disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--errors", choices=sorted(SHARED))
    parser.add_argument("--part", choices=("tuned", "held", "dev"), nargs="+", default=["tuned", "held", "dev"])
    args = parser.parse_args()
    parts = load(args.data_dir)
    if args.errors:
        for observation, cause, row in disagreements(parts["tuned"]):
            if observation == args.errors:
                print(f"{row.study_id}, {cause}: {row.text}\n")
        return
    texts = [row.text for rows in parts.values() for row in rows]
    begun = time.process_time()
    for text in texts:
        label_report(text)
    print(f"{len(texts)} different reports, first reading: {len(texts) / (time.process_time() - begun):,.0f} a second")
    print("{} of {} published samples of the CheXpert labeller read alike".format(*samples(args.data_dir)))
    for name in args.part:
        report(name, parts[name])


if __name__ == "__main__":
    main()
