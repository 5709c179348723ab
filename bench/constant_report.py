"""Score one normal report given to everyone, beside published figures: what a model of real reports must beat.

    python bench/constant_report.py --train reports.train.jsonl --dev reports.dev.jsonl --published results.csv

Rows of the JSONL files: `study_id`, `patient_id`, `findings`. Two constant reporters: a normal report written by hand,
and the train report that scores best as everyone's answer (the baseline `constant` of an evaluation). CSV files of
published results are printed as they stand. Figures of other splits, other cleaning and other packages do not compare
to the third digit.
"""

import argparse
import csv
import json
import re
import tempfile
from pathlib import Path

from radlet.core.records import Example
from radlet.data.observations import label_report
from radlet.evaluation.baselines import constant_report
from radlet.evaluation.prediction_files import score_file

NORMAL = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. There is no focal "
    "consolidation, pleural effusion or pneumothorax. No acute bony abnormality."
)
SHOWN = {
    "bleu_1": 3,
    "bleu_4": 3,
    "rouge_l": 3,
    "meteor_exact_stem": 3,
    "cider": 2,
    "observation_f1_micro_14": 3,
    "observation_f1_micro_13": 3,
    "observation_f1_macro_14": 3,
    "observation_f1_micro_5": 3,
    "statement_f1_simple": 3,
    "rule_judge_credit": 3,
    "critical_misses": 3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--published", type=Path, nargs="*", default=[], help="CSV files of published results")
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    train, dev = (read(path) for path in (args.train, args.dev))
    best = constant_report([example(row) for row in train])
    print(
        f"{len(train)} train reports, {len(dev)} dev reports with findings; intervals from {args.resamples} resamples"
    )
    for name, text in (("by hand", NORMAL), ("best of train", best)):
        for cleaning, clean in (("as written", str), ("cleaned and cut like R2Gen's", r2gen_words)):
            show(
                f"{name}, {cleaning}", score([clean(row["findings"]) for row in dev], clean(text), dev, args.resamples)
            )
    for path in args.published:
        print(f"\npublished: {path.name}")
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                print("  " + "  ".join(f"{key} {value}" for key, value in line.items() if keep(key)))


def read(path: Path) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row.get("findings")]


def example(row: dict[str, str]) -> Example:
    return Example(
        example_id=row["study_id"],
        study_id=row["study_id"],
        patient_id=row["patient_id"],
        split="train",
        image_paths=(),
        views=(),
        target=row["findings"],
        observations=label_report(row["findings"]),
    )


def r2gen_words(text: str) -> str:
    """Lower-case a text, leave out its punctuation but for stops set apart, and cut it after 60 tokens.

    What the R2Gen line of work does to references and drafts alike before it scores them, in its main points.
    """
    sentences = (re.sub(r"[^a-z0-9 ]", "", sentence) for sentence in text.lower().split(". "))
    cleaned = " . ".join(" ".join(sentence.split()) for sentence in sentences if sentence.strip()) + " ."
    return " ".join(cleaned.split()[:60])


def score(references: list[str], draft: str, rows: list[dict[str, str]], resamples: int):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constant.jsonl"
        pairs = (
            {"id": row["study_id"], "patient_id": row["patient_id"], "reference": text, "prediction": draft}
            for row, text in zip(rows, references, strict=True)
        )
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
        return score_file(file, resamples, metric_names=list(SHOWN))


def show(title: str, card) -> None:
    print(f"\n{title}")
    for name, digits in SHOWN.items():
        one = card.metrics[name]
        print(f"  {name:<26} {one.value:.{digits}f}  ({one.low:.{digits}f} to {one.high:.{digits}f})")


def keep(key: str) -> bool:
    return key not in ("Rank", "Date", "Institution", "Model URL")


if __name__ == "__main__":
    main()
