"""Time the metrics that need no weights: N report pairs, all metrics, 1,000 resamples; beside another scorer on demand.

    python bench/score.py --pairs 3000
    python bench/score.py --pairs 3000 --beside "other-venv/bin/python their_scorer.py {file}" --metrics bleu_4,rouge_l

Reports are those of the synthetic writer; each draft is another report's text, or its own with a sentence lost. The
other command is run on the same file, `{file}`, and on a file of one pair; its work is the difference of the two.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from radlet.data.sources.synthetic.source import SyntheticSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--metrics", help="names with commas; default: all that need no weights")
    parser.add_argument("--reports", type=Path, help="JSONL with `findings`, in place of the synthetic writer")
    parser.add_argument("--beside", help="another scorer's command, with {file} for the file of pairs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, one = Path(folder) / "pairs.jsonl", Path(folder) / "one.jsonl"
        rows = pairs(texts(args), args.pairs)
        for path, some in ((file, rows), (one, rows[:1])):
            path.write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")
        options = ["--metrics", args.metrics] if args.metrics else []
        command = [sys.executable, "-m", "radlet.cli", "score", "--bootstrap", str(args.resamples), *options]
        own = {path: timed([*command, str(path), "--out", f"{path}.json"]) for path in (file, one)}
        num_metrics = len(json.loads(Path(f"{file}.json").read_text())["metrics"])
        print(f"radlet: {args.pairs} pairs, {num_metrics} metrics, {args.resamples} resamples: {own[file]}")
        print(f"        of which starting and one pair: {own[one]}")
        if args.beside:
            other = {path: timed(shlex.split(args.beside.replace("{file}", str(path)))) for path in (file, one)}
            print(f"beside: {other[file]}, of which starting and one pair: {other[one]}")
            for kind in ("clock", "cpu"):
                (all_own, own_start), (all_other, other_start) = (
                    [getattr(times[path], kind) for path in (file, one)] for times in (own, other)
                )
                without = (all_other - other_start) / (all_own - own_start)
                print(f"ratio by {kind}: {all_other / all_own:.1f} whole, {without:.1f} without the start")


def texts(args: argparse.Namespace) -> list[str]:
    if args.reports:
        lines = args.reports.read_text(encoding="utf-8").splitlines()
        return [text for line in lines if (text := json.loads(line).get("findings"))]
    source = SyntheticSource(num_patients=args.pairs)
    written = (report.section("findings") for _, report in source.reports(seed=0))
    return [text for text in written if text][: args.pairs]


def pairs(reports: list[str], count: int) -> list[dict[str, str]]:
    draws = np.random.default_rng(0)
    rows = []
    for number in range(count):
        own, other = reports[number % len(reports)], reports[draws.integers(len(reports))]
        sentences = own.split(". ")
        sentences.pop(draws.integers(len(sentences)))
        draft = other if number % 2 else ". ".join(sentences)
        rows.append({"id": str(number), "patient_id": str(number // 2), "reference": own, "prediction": draft})
    return rows


class Times(NamedTuple):
    """Seconds of a command; those of CPU hold on a busy machine too."""

    clock: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.clock:.1f} s by the clock, {self.cpu:.1f} s of CPU"


def timed(command: list[str]) -> Times:
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Times(time.monotonic() - start, cpu)


if __name__ == "__main__":
    main()
