"""Print how well references to earlier exams are found, and how many reports are rid of them.

    python bench/prior_references.py [../shared/data] [--sample 30] [--seed 0]

Truth: the synthetic source's grammar, which knows of every sentence whether it refers to the previous exam; all
sections count. The Indiana reports have no truth: their rates before and after are printed and, with --sample, that
many sentences found and as many not found, each once, drawn from the development file (the rules were written beside
the other one), to be judged by a reader.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from pathlib import Path

from radlet.data.cleaning import clean_text
from radlet.data.deidentify import remove_identifiers
from radlet.data.priors import PriorTally, find_prior_references, remove_prior_references
from radlet.data.sources.synthetic.source import SyntheticSource


def detection(num_patients: int, seed: int) -> Counter[tuple[bool, bool]]:
    """Count (compares in truth, found) over the sentences of synthetic reports that all compare where they can."""
    source = SyntheticSource(num_patients=num_patients, comparison_share=0.7)
    return Counter(
        (sentence.compares, bool(find_prior_references(sentence.text)))
        for _, report in source.reports(seed)
        for sentence in report.sentences
    )


def synthetic_texts(num_patients: int, seed: int) -> list[str]:
    """Return the findings and impressions of synthetic reports."""
    source = SyntheticSource(num_patients=num_patients, comparison_share=0.7)
    return [report.section(name) for _, report in source.reports(seed) for name in ("findings", "impression")]


def real_texts(path: Path) -> list[str]:
    """Return the findings and impressions of a file of reports, cleaned as `build` cleans them."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    texts = [row[name] for row in rows for name in ("findings", "impression") if row[name]]
    return [cleaned for text in texts if (cleaned := clean_text(remove_identifiers(text)))]


def rates(name: str, texts: list[str]) -> None:
    """Print how many texts and sentences refer to an earlier exam before and after, and the speed."""
    tally, begun = PriorTally(), time.process_time()
    rewrites = [remove_prior_references(text) for text in texts]
    spent = time.process_time() - begun
    for text, rewrite in zip(texts, rewrites, strict=True):
        tally.add(text, rewrite)
    print(f"{name}: {json.dumps(tally.summary())}; {len(texts) / spent:,.0f} texts a second")


def sample(texts: list[str], size: int, seed: int) -> None:
    """Print sentences found, with what becomes of them, and sentences not found."""
    sentences = list(dict.fromkeys(part for text in texts for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)))
    random.Random(seed).shuffle(sentences)
    found = [sentence for sentence in sentences if find_prior_references(sentence)]
    others = [sentence for sentence in sentences if not find_prior_references(sentence)]
    for sentence in found[:size]:
        rewrite = remove_prior_references(sentence)
        print(f"+ {sentence}\n    {rewrite.outcomes[0]}: {rewrite.text}")
    for sentence in others[:size]:
        print(f"- {sentence}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    counts = detection(num_patients=2000, seed=args.seed)
    hits, false, missed = counts[True, True], counts[False, True], counts[True, False]
    print(
        f"synthetic sentences: {counts.total()}, comparing {hits + missed}; "
        f"precision {hits / max(1, hits + false):.4f}, recall {hits / max(1, hits + missed):.4f}"
    )
    rates("synthetic", synthetic_texts(2000, args.seed))
    for split in ("train", "dev"):
        rates(f"Indiana {split}", real_texts(args.data_dir / f"text/iu_reports.{split}.jsonl"))
    if args.sample:
        sample(real_texts(args.data_dir / "text/iu_reports.dev.jsonl"), args.sample, args.seed)


if __name__ == "__main__":
    main()
