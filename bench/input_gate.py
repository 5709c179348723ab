"""What the input gate of the reading room says of real films: true frontals that it stops, others that it lets pass.

    python bench/input_gate.py ../shared/data [--films 1000] [--half report] [--curves] [--json FILE]
        [--turned FILE] [--encoder RUN --examples RUN]

Films come without a header, as an upload of a picture does; DICOM objects come with theirs. Patients are cut in two
halves by a hash of their id: limits may be chosen on ``tune``, figures are given of ``report``. Prints, for each group
of films, the share that is refused and warned of, by reason, with Wilson intervals of 95 %. ``--turned`` names films,
an id a line, that lie turned as a person sees them; they are a group of their own. Faults are planted on the frontal
films: exchanged greys, a turn by 90, 180 and 270 degrees, bad exposures, and strips of 10 to 35 % cut off at each side,
told by how much of the lungs goes with them (`lung_boxes`). With an encoder and the build run it was trained on, films
are also held against that run's train split; of the run's own collection, films of its other splits are told apart.
"""

import argparse
import hashlib
import json
import math
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from lung_boxes import LungBoxes, lost, reframed

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import ImageRecord
from radlet.data.film import Film
from radlet.data.images import read_film, read_film_bytes
from radlet.data.manifests import read_examples
from radlet.data.quality.reduced import reduce_film
from radlet.reading.gate import GateSettings, judge_film
from radlet.reading.opening import read_received

GAMMAS = (0.3, 0.5, 0.7, 1.4, 2, 3)
CLIPPED = (0.02, 0.05, 0.1, 0.2, 0.4)
LEVELS = (4, 8, 16, 32)
RANGES = (0.1, 0.2, 0.3, 0.5)
SETS = ("nih", "iu_xray", "roco", "covid")
OF_ENCODER = "held out by the encoder"


def half_of(row):
    patient = str(row.get("patient_id") or row["id"])
    return ("tune", "report")[hashlib.sha256(patient.encode()).digest()[0] % 2]


def group_of(name, row):
    if name == "roco":
        return "roco, chest film" if row["chest_xray"] else "roco, other"
    return f"{name}, {'lateral' if row.get('view') == 'lateral' else 'frontal'}"


def rows_of(data, name, half, most):
    lines = [
        json.loads(line)
        for split in ("train", "dev")
        for line in (data / name / f"{split}.jsonl").open(encoding="utf-8")
    ]
    rows = [row for row in lines if half in ("both", half_of(row))]
    order = np.random.default_rng(0).permutation(len(rows))[:most]
    return [rows[index] for index in order]


def outcome_of(verdict):
    """Return what becomes of a film, and the reasons."""
    codes = tuple(reason.code for reason in verdict.reasons if verdict.passed or reason.action == "refuse")
    return ("warn" if codes else "pass") if verdict.passed else "refuse", codes


def said(content, settings, known=None):
    """Return the gate's outcome and its reasons; a file that cannot be read is stopped before the gate."""
    try:
        return outcome_of(read_received(content, settings, known).verdict)
    except DataError:
        return "unreadable", ()


def windowed(pixels, dark, bright):
    """Return the film under a window that makes shares of its middle three fifths black and white."""
    high, wide = pixels.shape
    middle = pixels[high // 5 : high - high // 5, wide // 5 : wide - wide // 5]
    low, top = np.quantile(middle, (dark, 1 - bright))
    return np.clip((pixels - low) / max(top - low, 1) * 255, 0, 255)


def stepped(pixels, levels):
    return np.floor(pixels / 256 * levels) * 255 / (levels - 1)


PLANTED = {
    "exchanged greys": lambda pixels: 255 - pixels,
    "turned by 90": np.rot90,
    "turned by 180": lambda pixels: np.rot90(pixels, 2),
    "turned by 270": lambda pixels: np.rot90(pixels, 3),
    **{f"gamma {gamma}": partial(lambda pixels, gamma: 255 * (pixels / 255) ** gamma, gamma=gamma) for gamma in GAMMAS},
    **{f"{share:.0%} of the middle black": partial(windowed, dark=share, bright=0) for share in CLIPPED},
    **{f"{share:.0%} of the middle white": partial(windowed, dark=0, bright=share) for share in CLIPPED},
    **{f"{levels} levels of grey": partial(stepped, levels=levels) for levels in LEVELS},
    **{
        f"{share:.0%} of the range of greys": partial(lambda pixels, share: 127 + (pixels - 127.0) * share, share=share)
        for share in RANGES
    },
}
BANDS = {0.25: "25% of the lungs or more", 0.1: "10 to 25% of the lungs", 0.05: "5 to 10% of the lungs"}
CUT = ("top", "bottom", "left", "right")


def frontal_share(pixels):
    """Return the probability of an upright frontal chest film, of display grey (H, W)."""
    shares = reduce_film(ImageRecord(image_id="x", path=""), np.ascontiguousarray(pixels)).shares
    return shares.chest * (1 - shares.turned) * (1 - shares.lateral)


def curves(data, most, turned):
    """Print what each limit of the frontal share would stop, on the half that limits may be chosen on."""
    found = {}
    for name in SETS:
        for row in rows_of(data, name, "tune", most):
            pixels = read_film_bytes((data / name / row["image"]).read_bytes()).pixels
            group = f"{name}, turned by eye" if row["id"] in turned else group_of(name, row)
            found.setdefault(group, []).append(frontal_share(pixels))
    limits = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    print("tune: films below each limit, %\n" + " " * 26 + "".join(f"{limit:8}" for limit in limits))
    for group, numbers in found.items():
        below = "".join(f"{100 * np.mean(np.array(numbers) < limit):8.1f}" for limit in limits)
        print(f"{group:26}{below}  of {len(numbers)}")


class Counts:
    """What was said of the films of each group."""

    def __init__(self):
        self.outcomes, self.reasons, self.totals, self.alone = Counter(), Counter(), Counter(), Counter()

    def add(self, group, outcome, codes):
        self.totals[group] += 1
        self.outcomes[group, outcome] += 1
        self.alone[group] += codes == ("unlike",)
        self.reasons.update((group, outcome, code) for code in codes)

    def table(self):
        """Print and return the counts."""
        table = {}
        for group, total in sorted(self.totals.items()):
            print(f"\n{group}: {total} films")
            table[group] = {"films": total, "warned of as unlike alone": self.alone[group]}
            for outcome in ("refuse", "unreadable", "warn", "pass"):
                count = self.outcomes[group, outcome]
                by = {code: many for (g, o, code), many in self.reasons.items() if (g, o) == (group, outcome)}
                table[group][outcome] = {"count": count, "by": by}
                listed = ", ".join(f"{code} {many}" for code, many in sorted(by.items(), key=lambda item: -item[1]))
                print(f"  {outcome:10} {told(count, total):26} {listed}")
            if self.alone[group]:
                print(f"  as unlike alone {told(self.alone[group], total)}")
        return table


def interval(count, total, z=1.96):
    """Return the Wilson interval of a share."""
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def told(count, total):
    low, high = interval(count, total)
    return f"{100 * count / total:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--films", type=int, default=10_000, help="most films of a set")
    parser.add_argument("--half", choices=("tune", "report", "both"), default="report")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--curves", action="store_true", help="what each limit would stop, on the half `tune`")
    parser.add_argument("--turned", type=Path, help="ids of films that lie turned, as seen by eye")
    parser.add_argument("--encoder", type=Path, help="run of pretrain")
    parser.add_argument("--examples", type=Path, help="run of build that it was trained on")
    given = parser.parse_args()
    turned = set(given.turned.read_text(encoding="utf-8").split()) if given.turned else set()
    if given.curves:
        curves(given.data, given.films, turned)
        return
    known = None
    if given.encoder:
        from radlet.retrieval.lookup import StudyFinder

        known = StudyFinder(given.encoder, given.examples, "train", Progress(quiet=True)).familiarity
    settings, counts = GateSettings(), Counts()
    for name in SETS:
        for row in rows_of(given.data, name, given.half, given.films):
            group = f"{name}, turned by eye" if row["id"] in turned else group_of(name, row)
            content = (given.data / name / row["image"]).read_bytes()
            # The encoder has seen most films of Indiana: those that it has not are counted below.
            counts.add(group, *said(content, settings, None if name == "iu_xray" else known))
        print(f"{name} done", flush=True)
    planted(given, settings, counts, turned)
    cut(given, settings, counts, turned)
    if known:
        held_out(given, settings, counts, known)
    table = counts.table()
    print("\nDICOM objects, one by one")
    for path in sorted((given.data / "dicom").glob("*.dcm")):
        outcome, codes = said(path.read_bytes(), settings)
        table[path.name] = {outcome: codes}
        print(f"  {path.name:45} {outcome:10} {', '.join(codes)}")
    if given.json:
        given.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def planted(given, settings, counts, turned):
    for name in ("nih", "iu_xray"):
        for row in rows_of(given.data, name, given.half, min(given.films, 400)):
            if row["id"] not in turned and group_of(name, row).endswith("frontal"):
                pixels = read_film_bytes((given.data / name / row["image"]).read_bytes()).pixels
                for fault, change in PLANTED.items():
                    spoilt = np.rint(change(pixels)).astype(np.uint8)
                    verdict = judge_film(Film(np.ascontiguousarray(spoilt)), None, settings)
                    counts.add(f"planted: {fault}", *outcome_of(verdict))


def cut(given, settings, counts, turned):
    """Cut strips off the frontal films; whole films stand under their own groups."""
    boxes, rng = LungBoxes(given.data), np.random.default_rng(0)
    print(f"lungs' edges (top, bottom, left, right) are off by {boxes.error().round(3)} of the film on the mean")
    for name in ("nih", "iu_xray"):
        for row in rows_of(given.data, name, given.half, given.films):
            if row["id"] in turned or not group_of(name, row).endswith("frontal"):
                continue
            pixels = read_film_bytes((given.data / name / row["image"]).read_bytes()).pixels
            box = boxes.box(pixels)
            for side, called in enumerate(CUT):
                share = rng.uniform(0.1, 0.35)
                strip = [0.0] * 4
                strip[side] = -share
                verdict = judge_film(Film(np.ascontiguousarray(reframed(pixels, strip, "edge"))), None, settings)
                gone = lost(box, side, share)
                band = next((name for least, name in BANDS.items() if gone >= least), "less of the lungs")
                counts.add(f"cut: {called}, {band}", *outcome_of(verdict))
                counts.add(f"cut: any side, {band}", *outcome_of(verdict))
                if share >= 0.25 and gone >= 0.05:
                    counts.add("cut: any side, 25% of the film or more with 5% of the lungs", *outcome_of(verdict))


def held_out(given, settings, counts, known):
    for row in read_examples(given.examples):
        if row.split == "train" or given.half not in ("both", half_of({"patient_id": row.patient_id})):
            continue
        for path, view in zip(row.image_paths, row.views, strict=True):
            group = f"{OF_ENCODER}, {'lateral' if view == 'LATERAL' else 'frontal'}"
            counts.add(group, *outcome_of(judge_film(read_film(Path(path)), None, settings, known)))


if __name__ == "__main__":
    main()
