"""Print how exactly the rule judge counts planted errors, how it ranks published test cases, and how fast it is.

    python bench/rule_judge.py [--reports 2000] [--seed 90210] [--cases ../shared/data/text/radjudge.json]

Planted: synthetic reports and drafts of the same patient, written anew (other words, other order, comparison or
none) after 0 to 4 findings were changed. What stands in either text is known sentence by sentence, so the six counts
are known. No sentence hedges. The rules were written on seeds below 1000.

Cases: every expected ranking of a case must hold; equal is within 0.01. The rules were tuned on cases of odd number
alone.
"""

import argparse
import json
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from radlet.core.records import State
from radlet.data.findings import read_statements
from radlet.data.sources.synthetic.findings import KINDS, SEVERITIES, Lesion
from radlet.data.sources.synthetic.grammar import Report, Subject, Wording, change, compose
from radlet.evaluation.judging import judge_texts, patient_context
from radlet.metrics.rule_judge import ERROR_KINDS, judge

EQUAL = 0.01
MEASURED = ("nodule", "mass")
GRADED = tuple(kind for kind, spec in KINDS.items() if spec.graded)
PLACED = ("consolidation", "hazy_opacity", "nodule", "mass")


def draw_lesion(rng: np.random.Generator, kind: str) -> Lesion:
    spec = KINDS[kind]
    sides = sorted(spec.sides)
    return Lesion(
        kind,
        sides[int(rng.integers(len(sides)))] if sides else None,
        spec.zones[int(rng.integers(len(spec.zones)))] if spec.zones else None,
        SEVERITIES[int(rng.integers(3))] if spec.graded else None,
        float(rng.uniform(*spec.size_mm)) if spec.size_mm else None,
        int(rng.integers(1 << 30)),
    )


def draw_lesions(rng: np.random.Generator, num: int, without: set[str] = frozenset()) -> list[Lesion]:
    kinds = [kind for kind in KINDS if kind not in without]
    return [draw_lesion(rng, str(kind)) for kind in rng.choice(kinds, size=num, replace=False)]


def plant(lesion: Lesion, error: str, rng: np.random.Generator) -> Lesion | None:
    """Return a lesion with one attribute wrong; None where it has none of that kind."""
    if error == "wrong_place":
        if lesion.kind in PLACED and rng.random() < 0.5:
            others = [zone for zone in KINDS[lesion.kind].zones if zone != lesion.zone]
            return replace(lesion, zone=others[int(rng.integers(len(others)))])
        if lesion.side in ("left", "right") and lesion.kind != "edema":
            return replace(lesion, side="right" if lesion.side == "left" else "left")
        return None
    if lesion.kind in GRADED:
        others = [severity for severity in SEVERITIES if severity != lesion.severity]
        return replace(lesion, severity=others[int(rng.integers(2))])
    if lesion.kind in MEASURED:
        return replace(lesion, size_mm=lesion.size_mm * (1.7 if rng.random() < 0.5 else 0.5))
    return None


def pair(rng: np.random.Generator, sections: tuple[str, ...]) -> tuple[str, str, Counter[str]]:
    """Return a reference, a draft, and the errors in the draft."""
    lesions = draw_lesions(rng, int(rng.integers(0, 6)))
    drafted: dict[int, Lesion] = dict(enumerate(lesions))
    expected: Counter[str] = Counter()
    errors = ("false_finding", "missing_finding", "wrong_place", "wrong_degree")
    for index in rng.permutation(len(lesions))[: int(rng.integers(0, 5))]:
        error = errors[int(rng.integers(1, 4))]
        if error == "missing_finding":
            del drafted[int(index)]
            expected[error] += 1
        elif (wrong := plant(lesions[index], error, rng)) is not None:
            drafted[int(index)] = wrong
            expected[error] += 1
    false = draw_lesions(rng, int(rng.integers(0, 3)), {lesion.kind for lesion in lesions})
    expected["false_finding"] += len(false)
    prior = [lesion for lesion in lesions if rng.random() < 0.6]
    subject = Subject((), tuple(prior), 30, ("AP",), "F", 60)
    texts = []
    for side in (tuple(lesions), (*drafted.values(), *false)):
        wording = Wording(comparison_share=float(rng.random() < 0.5), uncertain_share=0.0)
        texts.append(compose(replace(subject, lesions=side), wording, rng))
    places = {index: place for place, index in enumerate(drafted)}
    expected += _comparisons(texts, lesions, drafted, places, prior)
    reference, draft = ("\n".join(text.section(section) for section in sections) for text in texts)
    return reference, draft, expected


def _comparisons(texts, lesions, drafted, places, prior) -> Counter[str]:
    """Return the errors of comparison between two texts, by what their sentences are known to say."""
    errors: Counter[str] = Counter()
    compared = [_compared(text) for text in texts]
    for index, place in places.items():
        true = change(lesions[index], prior) if index in compared[0][0] else None
        said = change(drafted[index], prior) if place in compared[1][0] else None
        if true != said:
            errors["missing_comparison" if said is None else "false_comparison"] += 1
    true, said = (gone for _, gone in compared)
    errors["missing_comparison"] += len(true - said)
    errors["false_comparison"] += len(said - true)
    return errors


def _compared(report: Report) -> tuple[set[int], set[str]]:
    """Return the indices of findings that are compared, and the observations that are told to have gone."""
    findings, gone = set(), set()
    for sentence in report.sentences:
        if sentence.section == "findings" and sentence.compares:
            for statement in sentence.statements:
                if statement.state is State.NEGATIVE:
                    gone.add(statement.observation)
                elif statement.finding is not None:
                    findings.add(statement.finding)
    return findings, gone


def count_planted(num: int, seed: int, show: int, sections: tuple[str, ...]) -> float:
    right, by_kind, planted = 0, Counter(), 0
    for number in range(num):
        reference, draft, expected = pair(np.random.default_rng([seed, number]), sections)
        judgement = judge_texts(reference, draft)
        counted = {kind: judgement.count(kind) for kind in ERROR_KINDS}
        wrong = [kind for kind in ERROR_KINDS if counted[kind] != expected[kind]]
        by_kind.update(wrong)
        right += not wrong
        planted += sum(expected.values())
        if wrong and show > 0:
            show -= 1
            print(reference, "\n ->", draft, "\n", dict(expected), judgement.errors)
    print(
        f"planted in {' and '.join(sections)}: {num} pairs, {planted} errors, seed {seed}: "
        f"all six counts exact in {right / num:.4f}"
    )
    print("  pairs with a wrong count, by kind:", {kind: by_kind[kind] for kind in ERROR_KINDS})
    return right / num


def rank_cases(path: Path, show: str) -> int:
    right = {"odd": [], "even": []}
    categories = json.loads(path.read_text(encoding="utf-8"))["RANKING_TESTS"]
    tests = [test for category in categories for test in category["tests"]]
    for number, test in enumerate(tests, start=1):
        scores = {name: _score(test["ground_truth"], each) for name, each in test["candidates"].items()}
        expected = test["expected_ranking"]
        held = all(_holds(rule, scores) for rule in ([expected] if isinstance(expected, str) else expected))
        half = "odd" if number % 2 else "even"
        right[half].append(held)
        if show == half and not held:
            print(test["id"], expected, {name: round(score, 3) for name, score in scores.items()})
    print("cases ranked right:", {half: f"{sum(held)} of {len(held)}" for half, held in right.items()})
    return sum(sum(held) for held in right.values())


def _score(reference: str, candidate: dict) -> float:
    context = candidate.get("context") or {}
    age = re.search(r"\d+", str(context.get("age", "")))
    row = {"age": int(age.group()) if age else None, "indication": context.get("indication")}
    return judge_texts(reference, candidate["text"], patient_context(row.get("age"), row.get("indication"))).score


def _holds(rule: str, scores: dict[str, float]) -> bool:
    """Return whether a chain of "C1 > C2 = C3" holds."""
    words = rule.split()
    for left, relation, right in zip(words[::2], words[1::2], words[2::2], strict=False):
        difference = scores[left] - scores[right]
        if not {">": difference > EQUAL, "<": difference < -EQUAL, "=": abs(difference) <= EQUAL}[relation]:
            return False
    return True


def measure_speed(num: int, seed: int) -> None:
    pairs = [pair(np.random.default_rng([seed + 1, number]), ("findings",))[:2] for number in range(num)]
    start = time.process_time()
    for reference, draft in pairs:
        judge(read_statements(reference), read_statements(draft))
    print(f"{num / (time.process_time() - start):.0f} pairs of reports a second of one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=90210)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--show", type=int, default=0, help="planted pairs to print whose counts are wrong")
    parser.add_argument("--show-cases", choices=["odd", "none"], default="none")
    options = parser.parse_args()
    for sections in (("findings",), ("findings", "impression")):
        count_planted(options.reports, options.seed, options.show, sections)
    if options.cases:
        rank_cases(options.cases, options.show_cases)
    measure_speed(options.reports, options.seed)


if __name__ == "__main__":
    main()
