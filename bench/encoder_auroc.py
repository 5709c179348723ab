"""What the encoder's label head knows: AUROC of each label on a split, per frontal film, per film, and per study.

python bench/encoder_auroc.py out/runs/pretrain/RUN out/runs/build/RUN --split test --match source
"""

import argparse
from pathlib import Path

import numpy as np

from radlet.core.console import Progress
from radlet.data.examples import is_frontal, select_films
from radlet.data.manifests import read_examples
from radlet.metrics.auroc import label_aurocs
from radlet.retrieval.embedding import Embedder


def matrix(rows, names):
    return np.array([[row.labels.get(name, np.nan) for name in names] for row in rows], np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--match", default="", help="only labels whose name contains this")
    arguments = parser.parse_args()
    embedder = Embedder.load(arguments.encoder)
    names = embedder.card.label_names
    rows = [row for row in select_films(read_examples(arguments.examples), "each") if row.split == arguments.split]
    scores = embedder.label_probabilities([Path(row.image_paths[0]) for row in rows], progress=Progress())
    targets = matrix(rows, names)
    frontal = np.array([is_frontal(row.views[0]) for row in rows])
    studies = {
        study: [i for i, row in enumerate(rows) if row.study_id == study] for study in {r.study_id for r in rows}
    }
    mean_scores = np.stack([scores[members].mean(0) for members in studies.values()])
    study_targets = np.stack([targets[members[0]] for members in studies.values()])
    tables = {
        "frontal": label_aurocs(scores[frontal], targets[frontal], names),
        "film": label_aurocs(scores, targets, names),
        "study": label_aurocs(mean_scores, study_targets, names),
    }
    print(f"{len(rows)} films, {frontal.sum()} frontal, {len(studies)} studies")
    print(f"{'label':36s} {'positive studies':>16s} " + " ".join(f"{name:>8s}" for name in tables))
    for column, name in enumerate(names):
        if arguments.match in name and name in tables["film"]:
            values = " ".join(f"{table.get(name, np.nan):8.3f}" for table in tables.values())
            print(f"{name:36s} {int(np.nansum(study_targets[:, column])):16d} {values}")


if __name__ == "__main__":
    main()
