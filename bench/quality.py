"""How well the quality checks find planted faults on real films, and how often they complain of unaltered ones.

    python bench/quality.py ../shared/data [--films 400] [--pairs] [--scale 100000]

Prints: complaints of each check on every unaltered film of each set; the share of planted faults that the meant check
finds at its default limit, on Indiana films; view and body part against what the sets say; with ``--pairs``, copies
found and films falsely called copies; with ``--scale N``, time, memory and recall of the search on N films
drawn around real ones.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from radlet.core.records import ImageRecord, Study
from radlet.data.images import read_film
from radlet.data.quality import QUALITY_CHECKS
from radlet.data.quality.base import FilmCheck, MeasuredFilm
from radlet.data.quality.duplicate_images import DuplicateImages, _candidates
from radlet.data.quality.likeness import describe, mirrored, read_descriptor
from radlet.data.quality.reduced import reduce_film
from radlet.data.quality.view import view_from_pixels

CHECKS = {name: QUALITY_CHECKS[name]() for name in QUALITY_CHECKS if issubclass(QUALITY_CHECKS[name], FilmCheck)}
SETS = ("iu_xray", "nih", "covid", "roco")


def window(film, low, high):
    return np.clip((film.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def cut(film, left=0.0, top=0.0, right=0.0, bottom=0.0):
    height, width = film.shape
    return film[int(top * height) : height - int(bottom * height), int(left * width) : width - int(right * width)]


def encoded(film, quality):
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(film, factor):
    image = Image.fromarray(film)
    return np.asarray(
        image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    )


def noisy(film, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, film.shape)
    return np.clip(film + noise, 0, 255).astype(np.uint8)


def panelled(film):
    gutter = np.full((film.shape[0], 6), 255, np.uint8)
    return np.hstack([film, gutter, film[:, ::-1]])


def framed(film):
    wide = np.zeros((2 * film.shape[0], 2 * film.shape[1]), np.uint8)
    wide[: film.shape[0], : film.shape[1]] = film
    return wide


FAULTS = {
    "blank: flat": ("blank", lambda film: np.full_like(film, 90)),
    "blank: noise of sigma 8": ("blank", lambda film: noisy(np.full_like(film, 90), 8)),
    "washed out to a sixth": ("contrast", lambda film: (100 + film / 6).astype(np.uint8)),
    "window far too low": ("clipping", lambda film: window(film, 0, 90)),
    "window far too high": ("clipping", lambda film: window(film, 170, 255)),
    "inverted": ("inverted", lambda film: 255 - film),
    "turned by 90": ("turned", np.rot90),
    "turned by 180": ("turned", lambda film: np.rot90(film, 2)),
    "turned by 270": ("turned", lambda film: np.rot90(film, 3)),
    "right 40 % cut off": ("cropped", lambda film: cut(film, right=0.4)),
    "left 40 % cut off": ("cropped", lambda film: cut(film, left=0.4)),
    "top 35 % cut off": ("cropped", lambda film: cut(film, top=0.35)),
    "bottom 40 % cut off": ("cropped", lambda film: cut(film, bottom=0.4)),
    "two panels": ("panels", panelled),
    "a quarter of the frame": ("margins", framed),
    "64 pixels": ("small", lambda film: resized(film, 64 / film.shape[0])),
    "strip": ("aspect", lambda film: cut(film, left=0.3, right=0.25)),
}
COPIES = {
    "JPEG 50": lambda film: encoded(film, 50),
    "JPEG 20": lambda film: encoded(film, 20),
    "half size": lambda film: resized(film, 0.5),
    "1.5 size": lambda film: resized(film, 1.5),
    "brighter by 30": lambda film: window(film, -35, 225),
    "narrower window": lambda film: window(film, 30, 210),
    "gamma 0.6": lambda film: (255 * (film / 255) ** 0.6).astype(np.uint8),
    "moved by 1 px": lambda film: np.roll(film, 1, (0, 1)),
    "turned by 1 degree": lambda film: np.asarray(Image.fromarray(film).rotate(1, Image.Resampling.BICUBIC)),
    "noise of sigma 8": lambda film: noisy(film, 8),
    "2 % cut all round": lambda film: cut(film, 0.02, 0.02, 0.02, 0.02),
    "3 % cut on one side": lambda film: cut(film, left=0.03),
    "5 % cut all round": lambda film: cut(film, 0.05, 0.05, 0.05, 0.05),
    "mirrored": lambda film: film[:, ::-1],
}


def rows_of(data, name):
    for split in ("train", "dev"):
        for line in (data / name / f"{split}.jsonl").read_text().splitlines():
            yield json.loads(line) | {"split": split}


def reduced(film, view=None):
    return reduce_film(ImageRecord(image_id="x", path="", view=view), np.ascontiguousarray(film))


def view_of(row):
    known = {"PA": "PA", "AP": "AP", "LATERAL": "LATERAL"}
    return known.get(str(row.get("view_position")).upper()) or ("LATERAL" if row.get("view") == "lateral" else None)


def unaltered(data, name):
    complaints, shares = Counter(), []
    start = time.perf_counter()
    for row in rows_of(data, name):
        film = reduced(read_film(data / name / row["image"]).pixels, view_of(row))
        failed = [check for check in CHECKS if CHECKS[check].fails(CHECKS[check].measure(film))]
        complaints.update(failed)
        complaints["any"] += bool(failed)
        shares.append((row, film.shares, view_from_pixels(film, 0.95)))
    print(f"\n{name}: {len(shares)} films, {len(shares) / (time.perf_counter() - start):.0f} films/s with reading")
    print(
        "  complaints:",
        ", ".join(f"{check} {100 * count / len(shares):.2f} %" for check, count in complaints.most_common()),
    )
    return shares


def judge_views(shares):
    lateral = np.array([row["view"] == "lateral" for row, _, _ in shares])
    score = np.array([one.lateral for _, one, _ in shares])
    named = np.array([view or "" for _, _, view in shares])
    told = named != ""
    right = np.where(lateral, named == "LATERAL", named == "frontal")[told].mean()
    right_at_half = ((score > 0.5) == lateral).mean()
    print(f"  frontal or lateral: AUROC {roc_auc_score(lateral, score):.4f}, right at 0.5 {right_at_half:.4f}")
    print(f"  named at 0.95: {told.mean():.3f} of the films, right {right:.4f}")


def judge_body_part(shares):
    chest = np.array([bool(row["chest_xray"]) for row, _, _ in shares])
    score = np.array([one.chest for _, one, _ in shares])
    limit = 1 - CHECKS["body_part"].limit
    print(
        f"  chest film or not: AUROC {roc_auc_score(chest, score):.3f}; found {np.mean(score[~chest] < limit):.3f} of "
        f"{(~chest).sum()}, false {np.mean(score[chest] < limit):.3f} of {chest.sum()}"
    )


def planted(films):
    print(f"\nplanted faults on {len(films)} Indiana films: share found by the meant check, by any check")
    for name, (check, spoil) in FAULTS.items():
        found, by_any = 0, 0
        for film in films:
            one = reduced(spoil(film))
            failed = [key for key in CHECKS if CHECKS[key].fails(CHECKS[key].measure(one))]
            found += check in failed
            by_any += bool(failed)
        print(f"  {name:28} {check:10} {found / len(films):.3f} {by_any / len(films):.3f}", flush=True)


def gather(finder, number, film, patient):
    descriptor, fine = describe(reduced(film).grey)
    study = Study(study_id=number, patient_id=patient, images=())
    finder.add(study, [MeasuredFilm(image_id=number, descriptor=descriptor, fine=fine)])


def pairs(data, num_films, scratch):
    """Put every kind of copy of some films among all Indiana films."""
    rows = list(rows_of(data, "iu_xray"))
    finder = DuplicateImages().finder(scratch)
    chosen = set(np.random.default_rng(1).permutation(len(rows))[:num_films].tolist())
    for index, row in enumerate(rows):
        film = read_film(data / "iu_xray" / row["image"]).pixels
        gather(finder, row["id"], film, row["patient_id"])
        if index in chosen:
            kind = sorted(COPIES)[index % len(COPIES)]
            gather(finder, f"{row['id']}|{kind}", COPIES[kind](film), row["patient_id"])
    start = time.perf_counter()
    groups = finder.find()
    took = time.perf_counter() - start
    planted_kinds = Counter(sorted(COPIES)[index % len(COPIES)] for index in chosen)
    found, false = Counter(), Counter()
    for group in groups:
        names = set(group.similarity)
        patients = {name.split("|")[0] for name in names}
        found.update(name.split("|")[1] for name in names if "|" in name and name.split("|")[0] in names)
        false["over several studies" if len({name.split("_")[1] for name in patients}) > 1 else "within a study"] += (
            len(patients) > 1
        )
    print(f"\ncopies of {num_films} films among {len(rows)}: search and confirmation {took:.0f} s")
    for kind, count in sorted(planted_kinds.items()):
        print(f"  {kind:22} {found[kind]}/{count} = {found[kind] / count:.3f}")
    print(f"  groups of different films: {dict(false)}")


def scale(data, num_films):
    """Search among films drawn around real ones; confirmation costs the same for each candidate at any scale."""
    rows = list(rows_of(data, "iu_xray"))[:3000]
    real = np.stack(
        [read_descriptor(describe(reduced(read_film(data / "iu_xray" / row["image"]).pixels).grey)[0]) for row in rows]
    )
    rng = np.random.default_rng(0)
    drawn = real[rng.integers(0, len(real), num_films)] + rng.normal(0, 0.05, (num_films, real.shape[1])).astype(
        np.float32
    )
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn = drawn.astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    found = _candidates(DuplicateImages(), drawn)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"\n{num_films} films: {took:.0f} s ({cpu:.0f} of CPU) for {len(found)} candidate pairs, memory grew by "
        f"{grown:.0f} MB beside {drawn.nbytes / num_films:.0f} bytes a film for the descriptors"
    )
    print(f"  nearest 8 within the radius, of 1,000 films: {recall(drawn, found):.4f} of those of a search of all")


def recall(films, found, num_asked=1000):
    """Return the share of the true neighbours of some films that are among the candidates."""
    check = DuplicateImages()
    candidates = {tuple(pair) for pair in found.tolist()}
    true, held = 0, 0
    for place in np.random.default_rng(2).permutation(len(films))[:num_asked].tolist():
        for turned in (False, True):
            alike = films @ (mirrored(films[place]) if turned else films[place])
            alike[place] = -1
            for other in np.argpartition(alike, -check.neighbours)[-check.neighbours :].tolist():
                if alike[other] >= 1 - check.radius**2 / 2:
                    true += 1
                    held += (min(place, other), max(place, other), int(turned)) in candidates
    return held / true


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--scale", type=int, default=0)
    given = parser.parse_args()
    if given.scale:
        return scale(given.data, given.scale)
    if given.pairs:
        with tempfile.TemporaryDirectory() as scratch:
            return pairs(given.data, given.films, Path(scratch))
    for name in SETS:
        shares = unaltered(given.data, name)
        if name == "iu_xray":
            judge_views(shares)
        if name == "roco":
            judge_body_part(shares)
    rows = list(rows_of(given.data, "iu_xray"))
    chosen = np.random.default_rng(0).permutation(len(rows))[: given.films]
    planted([read_film(given.data / "iu_xray" / rows[index]["image"]).pixels for index in chosen])
    return None


if __name__ == "__main__":
    main()
