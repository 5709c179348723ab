"""What the encoder knows: AUROC of each label on a split, per frontal film, per film, and per study.

By its label head, or with --probe by a logistic regression on its pooled features, fitted on the train split.

python bench/encoder_auroc.py out/runs/pretrain/RUN out/runs/build/RUN --split test --match source --probe
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from radlet.core.console import Progress
from radlet.data.examples import is_frontal, select_films
from radlet.data.images import load_pixel_values
from radlet.data.manifests import read_examples
from radlet.metrics.auroc import label_aurocs
from radlet.retrieval.embedding import Embedder


def matrix(rows, names):
    return np.array([[row.labels.get(name, np.nan) for name in names] for row in rows], np.float32)


@torch.inference_mode()
def pooled_features(embedder, rows):
    batches = [rows[start : start + 64] for start in range(0, len(rows), 64)]
    parts = []
    for batch in Progress().track(batches, "films", len(batches)):
        films = np.stack([load_pixel_values(Path(row.image_paths[0]), embedder.image_settings) for row in batch])
        parts.append(embedder.model.pooled(torch.from_numpy(films)).float().numpy())
    return np.concatenate(parts)


def probe_scores(embedder, train, judged, names):
    """One regression a label, of fixed strength (C = 0.001 on standardised features), so that nothing is chosen."""
    scaler = StandardScaler()
    features = scaler.fit_transform(pooled_features(embedder, train))
    unseen = scaler.transform(pooled_features(embedder, judged))
    targets, scores = matrix(train, names), np.full((len(judged), len(names)), np.nan)
    for column in range(len(names)):
        known = ~np.isnan(targets[:, column])
        if len(set(targets[known, column])) == 2:
            probe = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=500)
            scores[:, column] = probe.fit(features[known], targets[known, column]).decision_function(unseen)
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--match", default="", help="only labels whose name contains this")
    parser.add_argument("--probe", action="store_true", help="a linear probe instead of the label head")
    arguments = parser.parse_args()
    embedder = Embedder.load(arguments.encoder)
    names = [name for name in embedder.card.label_names if arguments.match in name]
    films = select_films(read_examples(arguments.examples), "each")
    rows = [row for row in films if row.split == arguments.split]
    if arguments.probe:
        scores = probe_scores(embedder, [row for row in films if row.split == "train"], rows, names)
    else:
        columns = [embedder.card.label_names.index(name) for name in names]
        paths = [Path(row.image_paths[0]) for row in rows]
        scores = embedder.label_probabilities(paths, progress=Progress())[:, columns]
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
        if name in tables["film"]:
            values = " ".join(f"{table.get(name, np.nan):8.3f}" for table in tables.values())
            print(f"{name:36s} {int(np.nansum(study_targets[:, column])):16d} {values}")


if __name__ == "__main__":
    main()
