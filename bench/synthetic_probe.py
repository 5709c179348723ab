"""Do the synthetic films carry the truth? Train a small classifier on some patients, report AUROC and side accuracy.

OMP_NUM_THREADS=1 python bench/synthetic_probe.py --size-px 128 --train 2500 --test 600 --minutes 2
"""

import argparse
import itertools
import time

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from radlet.core.records import OBSERVATIONS, State
from radlet.data.sources.synthetic import SyntheticSource
from radlet.data.truth import truth_observations

SIDES = ("left", "right")


def frontal_films(source, seed, count):
    """Return (films uint8 (N, S, S), targets float32 (N, 42)): 14 observations, then each on the left, on the right."""
    films, targets = [], []
    for raw in source.studies(seed):
        image_id = raw.study.images[0].image_id
        states = truth_observations(raw.study.truth)
        target = np.array([states[name] is State.POSITIVE for name in OBSERVATIONS] + [False] * 28)
        for finding in raw.study.truth:
            for k, side in enumerate(SIDES):
                if finding.side in (side, "bilateral"):
                    target[14 * (1 + k) + OBSERVATIONS.index(finding.observation)] = True
        films.append(raw.pixels[image_id])
        targets.append(target)
        if len(films) == count:
            break
    return np.stack(films), np.stack(targets).astype(np.float32)


def block(width_in, width_out):
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


class Probe(nn.Module):
    """Five convolution layers; the strongest response of each half of the film, and a coarse map of all of it."""

    def __init__(self, num_targets):
        super().__init__()
        widths = (24, 32, 64, 128, 160)
        stem = (nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(24), nn.ReLU(inplace=True))
        self.features = nn.Sequential(*stem, *[block(a, b) for a, b in itertools.pairwise(widths)])
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(160 * (2 + 16), num_targets))

    def forward(self, x):  # (B, 1, S, S)
        features = self.features(x)  # (B, D, H, W)
        strongest = torch.cat([half.amax((2, 3)) for half in features.chunk(2, dim=3)], 1)  # (B, 2D)
        coarse = nn.functional.adaptive_avg_pool2d(features, 4).flatten(1)  # (B, 16D)
        return self.head(torch.cat([strongest, coarse], 1))


def scaled(films):
    return (torch.from_numpy(films).float()[:, None] / 255 - 0.5) / 0.25


def shifted(batch):
    dx, dy = (int(v) for v in torch.randint(-4, 5, (2,)))
    return torch.roll(batch, (dy, dx), (2, 3))


def train(model, films, targets, minutes, batch=32):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    loss_of = nn.BCEWithLogitsLoss()
    start, epoch = time.process_time(), 0
    model.train()
    while (share := (time.process_time() - start) / (60 * minutes)) < 1:
        order = torch.randperm(len(films))
        for i in range(0, len(order) - batch + 1, batch):
            share = (time.process_time() - start) / (60 * minutes)
            optimizer.param_groups[0]["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * min(share, 1)))
            rows = order[i : i + batch]
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(model(shifted(films[rows])).float(), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
        print(f"epoch {epoch}  {time.process_time() - start:.0f} s  loss {loss.item():.4f}", flush=True)


def report(scores, targets):
    print(f"{'observation':30s} {'positives':>9s} {'AUROC':>6s} {'side accuracy':>14s}")
    for k, name in enumerate(OBSERVATIONS):
        truth = targets[:, k]
        if not 0 < truth.sum() < len(truth):
            continue
        left, right = targets[:, 14 + k], targets[:, 28 + k]
        one_sided = (left != right) & (truth == 1)
        correct = (scores[:, 14 + k] > scores[:, 28 + k]) == (left > right)
        side = f"{correct[one_sided].mean():.3f} ({one_sided.sum()})" if one_sided.any() else "-"
        print(f"{name:30s} {int(truth.sum()):9d} {roc_auc_score(truth, scores[:, k]):6.3f} {side:>14s}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size-px", type=int, default=128)
    parser.add_argument("--train", type=int, default=2500)
    parser.add_argument("--test", type=int, default=600)
    parser.add_argument("--minutes", type=float, default=2.0, help="processor time to train")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    source = SyntheticSource(num_patients=10**6, size_px=options.size_px, lateral_share=0)
    start = time.monotonic()
    films, targets = frontal_films(source, 0, options.train)
    unseen, expected = frontal_films(source, 1, options.test)
    print(f"{len(films) + len(unseen)} films in {time.monotonic() - start:.0f} s")
    model = Probe(targets.shape[1]).to(memory_format=torch.channels_last)
    train(model, scaled(films), torch.from_numpy(targets), options.minutes)
    model.eval()
    with torch.inference_mode():
        scores = torch.cat([model(part) for part in scaled(unseen).split(64)]).numpy()
    report(scores, expected)


if __name__ == "__main__":
    main()
