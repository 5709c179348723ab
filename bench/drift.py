"""Does drift alarm on films of another hospital, and not on films of its own?

    python bench/drift.py CHECKPOINT EXAMPLES [--other NAME=FILE.jsonl ...] [--drafts 230] [--size 60] [--json FILE]

EXAMPLES is the build run that the checkpoint was trained on. The reference card is made of its train split and of
drafts of some studies of the other splits; what is left of those is put through a reading room as it is, darker
(gamma 1.6), and as negatives. FILE.jsonl lists films of another set: `image`, relative to it, and `view_position` or
`view`. Of each set all studies together are told, and in how many of 200 random draws of `--size` anything alarms.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from radlet.core.console import Progress
from radlet.core.errors import RadletError
from radlet.data.manifests import read_examples
from radlet.reading.draft_queue import QueueSettings
from radlet.reading.drift.reference import Sample, choose_studies, make_reference, studies_of
from radlet.reading.drift.report import DriftSettings, compare_group
from radlet.reading.drift.seen import seen_studies
from radlet.reading.gate import GateSettings
from radlet.reading.room import ReadingRoom, RoomSettings
from radlet.reading.served_model import ServedModel
from radlet.reading.store.store import Store
from radlet.reading.store.tables import now

FRONTAL = ("PA", "AP", "frontal")
DRAWS = 200


def own_films(examples, sample):
    """Return frontal films of studies that the card does not know, each with its indication."""
    rows = read_examples(examples)
    known = {study.study_id for part in choose_studies(rows, sample) for study in part}
    left = [study for study in studies_of(rows) if study.split != "train" and study.study_id not in known]
    for study in left:
        films = zip(study.image_paths, study.views, strict=True)
        path = next((path for path, view in films if view in FRONTAL), None)
        if path:
            yield Path(path), study.indication


def other_films(listing):
    for line in listing.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if (row.get("view_position") or row.get("view")) in FRONTAL:
            yield listing.parent / row["image"], row.get("indication")


def darker(pixels):
    return (255 * (pixels / 255) ** 1.6).round().astype(np.uint8)


def negative(pixels):
    return 255 - pixels


def as_it_is(pixels):
    return pixels


def seen_in_room(model, films, change):
    """Put films through a reading room and return what its store tells of them."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        room = ReadingRoom(store, model, RoomSettings(queue=QueueSettings(max_waiting=0)))
        for path, indication in films:
            content = BytesIO()
            Image.fromarray(change(np.asarray(Image.open(path).convert("L")))).save(content, "PNG")
            try:
                received = room.keep(room.read(content.getvalue()), "bench", "bench", indication)
                room.draft(received.study_id, "bench")
            except RadletError:
                continue  # refused: that is what is measured
        room.close(10)
        return seen_studies(store, now() - timedelta(days=1), model.identity.checkpoint_digest)


def told(name, studies, card, settings, size):
    whole = compare_group(None, studies, [], card.measures, settings)
    draws, named = 0, Counter()
    for seed in range(DRAWS):
        drawn = random.Random(seed).sample(studies, min(size, len(studies)))
        alarms = compare_group(None, drawn, [], card.measures, settings).alarms
        draws += bool(alarms)
        named.update(alarms)
    row = {
        "studies": len(studies),
        "alarms": {one.name: [one.psi, one.limit] for one in whole.measures if one.alarm},
        "measures": len(whole.measures),
        "draws_with_alarm": draws / DRAWS,
        "by_measure": {measure: count / DRAWS for measure, count in named.most_common()},
        "highest_over_limit": max((round(one.psi / max(one.limit, 1e-9), 3) for one in whole.measures), default=None),
    }
    print(name, json.dumps(row), flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("examples", type=Path)
    parser.add_argument("--other", action="append", default=[])
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument("--drafts", type=int, default=230)
    parser.add_argument("--size", type=int, default=60)
    parser.add_argument("--most", type=int, default=400)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sample, settings = Sample(given.films, given.drafts), DriftSettings()
    model = ServedModel.load(given.checkpoint, "bench")
    card = make_reference(model, given.examples, GateSettings(), sample, Progress())
    print(f"card: {card.films} films, {card.reports} drafts, {len(card.measures)} measures", flush=True)
    own = list(own_films(given.examples, sample))[: given.most]
    found = {}
    for name, change in (("own", as_it_is), ("own, darker", darker), ("own, negative", negative)):
        found[name] = told(name, seen_in_room(model, own, change), card, settings, given.size)
    for name, listing in (one.split("=", 1) for one in given.other):
        films = list(other_films(Path(listing)))[: given.most]
        found[name] = told(name, seen_in_room(model, films, as_it_is), card, settings, given.size)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
