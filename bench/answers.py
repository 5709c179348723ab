"""Exact match of answers on a split, beside two systems that look at nothing: the commonest answer, another's film.

python bench/answers.py out/runs/finetune/RUN out/runs/build/RUN --split test
"""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from radlet.core.console import Progress
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.evaluation.baselines import other_patients
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.scoring import exact_match


def interval(rows, answers, kind, num_resamples=1000):
    """Return exact match on one kind with its 95 % interval, patients resampled."""
    of_kind = [index for index, row in enumerate(rows) if row.answer_kind == kind]
    patients = sorted({rows[index].patient_id for index in of_kind})
    hits = {patient: [] for patient in patients}
    for index in of_kind:
        hits[rows[index].patient_id].append(exact_match([rows[index]], [answers[index]])["draft_exact"])
    right = np.array([sum(hits[patient]) for patient in patients])
    asked = np.array([len(hits[patient]) for patient in patients])
    draws = np.random.default_rng(0).integers(0, len(patients), (num_resamples, len(patients)))
    low, high = np.percentile(right[draws].sum(1) / asked[draws].sum(1), [2.5, 97.5])
    return right.sum() / asked.sum(), low, high, len(of_kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    drafter = Drafter.load(arguments.checkpoint)
    built = [row for row in read_examples(arguments.examples) if row.target and row.question]
    rows = select_films([row for row in built if row.split == arguments.split], drafter.card.films)
    requests = [DraftRequest(tuple(map(Path, row.image_paths)), row.indication, row.question) for row in rows]
    partners = other_patients([row.patient_id for row in rows])
    shuffled = [
        replace(request, image_paths=requests[partner].image_paths)
        for request, partner in zip(requests, partners, strict=True)
    ]
    train = {
        kind: Counter((row.target or "").lower() for row in built if row.split == "train" and row.answer_kind == kind)
        for kind in ("closed", "open")
    }
    systems = {
        "model": drafter.draft(requests, progress=Progress()),
        "shuffled_image": drafter.draft(shuffled, progress=Progress()),
        "majority": [train[row.answer_kind].most_common(1)[0][0] for row in rows],
    }
    for kind in ("closed", "open"):
        for name, answers in systems.items():
            value, low, high, count = interval(rows, answers, kind)
            print(f"{kind:<7} {name:<15} {value:.3f}  [{low:.3f}, {high:.3f}]  {count} questions")


if __name__ == "__main__":
    main()
