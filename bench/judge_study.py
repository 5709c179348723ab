"""Print how near the rule judge comes to simulated experts, beside how near they come to each other.

    python bench/judge_study.py [--reports 300] [--experts 6] [--seed 90210] [--noticed 0.85] [--invented 0.15]

Pairs of reports with planted errors are those of `bench/rule_judge.py`. Every expert notices each planted error with
the given probability and counts a Poisson number of errors that are not there, of any kind. Significance is a coin, so
only errors of both levels together are compared. A constant judge and one that counts at random stand beside.

    python bench/judge_study.py --trials 1000

tells instead how often the 95 % intervals hold the figures of a population of 50,000 reports, of which each trial draws
100 anew: planted errors are a Poisson number with mean 2, counted by three experts and a judge.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rule_judge import pair

from radlet.evaluation.expert_counts import long_rows
from radlet.evaluation.judge_study import agree, study_files
from radlet.evaluation.judging import judge_texts
from radlet.metrics.judging import ErrorCount
from radlet.metrics.resampling import PatientResampler
from radlet.metrics.rule_judge import ERROR_KINDS


def table(counts) -> dict[str, ErrorCount]:
    return {kind: ErrorCount(significant=0, insignificant=int(counts[kind])) for kind in ERROR_KINDS}


def simulate(options: argparse.Namespace, folder: Path) -> list[Path]:
    """Write counts of the experts and of three judges."""
    rng = np.random.default_rng(options.seed)
    experts, judges = [], {"rules": [], "random": [], "constant": []}
    for number in range(options.reports):
        reference, draft, planted = pair(np.random.default_rng([options.seed, number]), ("findings",))
        for expert in range(options.experts):
            noticed = {kind: rng.binomial(planted[kind], options.noticed) for kind in ERROR_KINDS}
            noticed[str(rng.choice(ERROR_KINDS))] += rng.poisson(options.invented)
            experts += long_rows(str(number), str(number), f"expert {expert}", table(noticed))
        judgement = judge_texts(reference, draft)
        counts = {
            "rules": {kind: judgement.count(kind) for kind in ERROR_KINDS},
            "random": {kind: rng.poisson(0.5) for kind in ERROR_KINDS},
            "constant": dict.fromkeys(ERROR_KINDS, 1),
        }
        for name, rows in judges.items():
            rows.append(
                {"id": str(number), "counts": {kind: one.model_dump() for kind, one in table(counts[name]).items()}}
            )
    files = {"experts": experts, **judges}
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [folder / f"{name}.jsonl" for name in files]


def counted(rng, planted, noticed: float, invented: float):
    return (rng.binomial(planted, noticed) + rng.poisson(invented, len(planted))).astype(float)


def draw(rng, options: argparse.Namespace, num: int):
    planted = rng.poisson(2.0, num)
    experts = np.stack([counted(rng, planted, options.noticed, options.invented) for _ in range(3)])
    return experts, counted(rng, planted, 0.95, 0.05)


def cover(options: argparse.Namespace) -> None:
    """Print the share of trials whose interval holds the population's figure."""
    rng = np.random.default_rng(options.seed)
    size = 50_000
    experts, judge = draw(rng, options, size)
    truth = agree(experts, judge, PatientResampler([str(n) for n in range(size)], 1))
    held: Counter[str] = Counter()
    for trial in range(options.trials):
        experts, judge = draw(rng, options, 100)
        drawn = agree(experts, judge, PatientResampler([str(n) for n in range(100)], 1000, trial))
        for figure, one in drawn.items():
            for part in ("judge", "experts", "difference"):
                true, estimate = getattr(truth[figure], part).value, getattr(one, part)
                held[f"{figure} {part}"] += estimate.low <= true <= estimate.high
    for name, number in held.items():
        print(f"{name:<28} {number / options.trials:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=300)
    parser.add_argument("--experts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=90210)
    parser.add_argument("--noticed", type=float, default=0.85)
    parser.add_argument("--invented", type=float, default=0.15)
    parser.add_argument("--trials", type=int)
    options = parser.parse_args()
    if options.trials:
        cover(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = simulate(options, Path(folder))
        start = time.perf_counter()
        study = study_files(paths, num_resamples=1000)
        elapsed = time.perf_counter() - start
    for name, result in study.judges.items():
        for kind, levels in result.agreement.items():
            figures = levels["all"]
            cells = [f"{name:<9} {kind:<19}"]
            for figure in ("tau", "rho", "mean_difference"):
                for one in (figures[figure].judge, figures[figure].experts):
                    told = "-" if one.value is None else f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})"
                    cells.append(f"{told:<22}")
            print(" ".join(cells))
    print(f"{len(study.judges)} judges, {study.num_reports} reports, 1000 resamples: {elapsed:.1f} s")


if __name__ == "__main__":
    main()
