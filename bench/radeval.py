"""RadEval's BLEU and ROUGE beside radlet's, on the same pairs in one run, by turns; the median of each and the ratio.

    python bench/radeval.py --python OTHER_ENV/bin/python [--pairs 3000] [--rounds 5] [--resamples 1000]

OTHER_ENV has the package radeval (2.2.1 was tried). Pairs are made as bench/score.py makes them. Both sides run in a
process of their own, on one thread, and tell their own seconds of processor time: packages loaded, texts in memory,
each text unread. radlet also draws its intervals by patient, which RadEval's BLEU and ROUGE have not; it is timed with
them and without.

Values differ where definitions do: RadEval's BLEU is the COCO evaluation's (words at spaces), radlet's sacrebleu's
(13a tokens, smoothed); RadEval's ROUGE stems words, radlet's does not. The script computes both definitions on radlet's
side to show that the pairs are the same and the numbers agree where the definition does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

NAMES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_1", "rouge_2", "rouge_l")

OTHER = """
import json, sys, time
from importlib.metadata import version
from radeval import RadEval
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
refs, hyps = [row["reference"] for row in rows], [row["prediction"] for row in rows]
scorer = RadEval(metrics=["bleu", "rouge"], detailed=True, show_progress=False)
scorer(refs=refs[:1], hyps=hyps[:1])
start = time.process_time()
values = scorer(refs=refs, hyps=hyps)
print(json.dumps({"seconds": time.process_time() - start, "values": values, "version": version("radeval")}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="Python that has radeval")
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.own:
        print(json.dumps(own(args.own, args.resamples)))
        return
    if not args.python:
        parser.error("--python is needed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.jsonl"
        write_pairs(file, args.pairs)
        commands = {
            "radlet": [sys.executable, __file__, "--own", str(file), "--resamples", str(args.resamples)],
            "radlet, no intervals": [sys.executable, __file__, "--own", str(file), "--resamples", "0"],
            "RadEval": [args.python, "-c", OTHER, str(file)],
        }
        results: dict[str, list[dict]] = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                results[name].append(run(command))
    show(results)


def write_pairs(file: Path, count: int) -> None:
    from score import pairs

    from radlet.data.sources.synthetic.source import SyntheticSource

    written = (report.section("findings") for _, report in SyntheticSource(num_patients=count).reports(seed=0))
    rows = pairs([text for text in written if text][:count], count)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def own(file: Path, num_resamples: int) -> dict:
    from radlet.metrics import METRICS
    from radlet.metrics.resampling import PatientResampler

    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    references, drafts = [row["reference"] for row in rows], [row["prediction"] for row in rows]
    metrics = {name: METRICS[name] for name in NAMES}
    for metric in metrics.values():
        metric(references[:1], drafts[:1])
    start = time.process_time()
    sums = {name: metric.statistics(references, drafts) for name, metric in metrics.items()}
    values = {name: float(metric.score(sums[name].sum(axis=0))) for name, metric in metrics.items()}
    if num_resamples:
        resampler = PatientResampler([row["patient_id"] for row in rows], num_resamples)
        for name, metric in metrics.items():
            resampler.estimate(sums[name], metric.score_judged)
    seconds = time.process_time() - start
    return {"seconds": seconds, "values": values, "their_way": their_way(references, drafts)}


def their_way(references: list[str], drafts: list[str]) -> dict[str, float]:
    """Return BLEU and ROUGE by RadEval's definitions, untimed."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU

    values = {}
    for order in (1, 2, 3, 4):
        bleu = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
        values[f"bleu_{order}"] = bleu.corpus_score(drafts, [references]).score / 100
    kinds = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(kinds, use_stemmer=True)
    scores = [scorer.score(*pair) for pair in zip(references, drafts, strict=True)]
    return values | {kind: statistics.fmean(score[kind].fmeasure for score in scores) for kind in kinds}


def run(command: list[str]) -> dict:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | threads, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def show(results: dict[str, list[dict]]) -> None:
    medians = {name: statistics.median(one["seconds"] for one in many) for name, many in results.items()}
    for name, many in results.items():
        times = " ".join(f"{one['seconds']:.2f}" for one in many)
        print(f"{name:<22} median {medians[name]:.2f} s  ({times})")
    for name in ("radlet", "radlet, no intervals"):
        print(f"RadEval / {name}: {medians['RadEval'] / medians[name]:.2f}")
    mine, theirs = results["radlet"][0], results["RadEval"][0]
    print(f"values of radlet: {rounded(mine['values'])}")
    print(f"values of RadEval {theirs['version']}: {rounded(theirs['values'])}")
    print(f"RadEval's definitions on radlet's side: {rounded(mine['their_way'])}")


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


if __name__ == "__main__":
    main()
