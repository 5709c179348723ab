"""Print which identifiers are left in text, by kind, and what de-identification does to text that has none.

    python bench/deidentified_text.py [../shared/data] [--names rules rules_and_model] [--part held] [--show]

Planted sentences stand inside a report. Of the two parts of names and wordings, rules were tuned on "tuned" alone.
The real reports were de-identified before they were published, so whatever is changed in them is a loss.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from radlet.data.deidentify import remove_identifiers
from radlet.data.observations import label_report
from radlet.data.sources.synthetic.identifiers import KINDS, planted_sentences

PARTS = ("indication", "comparison", "findings", "impression")
BEFORE, AFTER = "The heart is normal in size.", "There is a small left pleural effusion."


def measure_planted(names, part, num, show):
    found, total, eaten = Counter(), Counter(), 0
    for planted in planted_sentences(part, num, seed=1):
        left = remove_identifiers(f"{BEFORE} {planted.text} {AFTER}", names)
        hit = not any(secret.lower() in left.lower() for secret in planted.secrets)
        found[planted.kind] += hit
        total[planted.kind] += 1
        eaten += AFTER not in left or BEFORE not in left
        if show and not hit:
            print("   left:", left.removeprefix(BEFORE).removesuffix(AFTER))
    for kind in KINDS:
        print(f"  {kind:<26} {found[kind]:>4} of {total[kind]}")
    print(f"  {'all':<26} {found.total():>4} of {total.total()}; sentences beside them changed: {eaten}")


def measure_clean(names, texts, show):
    begun = time.process_time()  # other work on the machine does not count
    left = [remove_identifiers(text, names) for text in texts]
    seconds = time.process_time() - begun
    changed = [(text, new) for text, new in zip(texts, left, strict=True) if text != new]
    labels = sum(label_report(text) != label_report(new) for text, new in changed)
    if show:
        for text, new in changed[:40]:
            print("   was:", text, "\n   is: ", new)
    print(f"  real reports: {len(changed)} of {len(texts)} changed, {labels} with other observations; "
          f"{len(texts) / seconds:.0f} reports/s of one core")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--names", nargs="+", default=["rules", "rules_and_model"])
    parser.add_argument("--part", choices=("tuned", "held"), default="held")
    parser.add_argument("--set", default="dev", help="train or dev reports")
    parser.add_argument("--num", type=int, default=60, help="sentences of each kind")
    parser.add_argument("--show", action="store_true", help="print what is left of planted and changed text")
    arguments = parser.parse_args()
    for names in arguments.names:
        remove_identifiers("The model is loaded before the clock runs.", names)
        print(f"{names}, {arguments.part} names and wordings:")
        measure_planted(names, arguments.part, arguments.num, arguments.show)
        reports = arguments.data / "text" / f"iu_reports.{arguments.set}.jsonl"
        if reports.is_file():
            rows = [json.loads(line) for line in reports.read_text(encoding="utf-8").splitlines()]
            texts = [" ".join(filter(None, (row.get(name) for name in PARTS)))
                     for row in rows]  # fmt: skip
            measure_clean(names, texts, arguments.show)


if __name__ == "__main__":
    main()
