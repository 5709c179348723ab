"""Judge a draft against its reference by rules: six kinds of errors, each significant or not, and a score.

The kinds are those of CheXprompt (Zambrano Chaves et al. 2025): a false finding, a missing finding, a wrong place, a
wrong degree or size, a comparison that the reference does not have, a comparison that is missing. Statements of both
texts are aligned one to one so that as much as possible of the reference is accounted for (Kuhn 1955, by scipy); what
is left over is false or missing. Denials and normal statements earn nothing and cost nothing. `docs/judge.md` gives
every weight.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, log2
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from radlet.core.records import State
from radlet.core.statements import CONCEPTS, Significance, Statement, generalisations
from radlet.metrics.base import Floats, Metric, ratio

ErrorKind = Literal[
    "false_finding", "missing_finding", "wrong_place", "wrong_degree", "false_comparison", "missing_comparison"
]
ERROR_KINDS: tuple[ErrorKind, ...] = (
    "false_finding",
    "missing_finding",
    "wrong_place",
    "wrong_degree",
    "false_comparison",
    "missing_comparison",
)
_LEVELS: tuple[Significance, ...] = ("minor", "significant", "critical")
_WEIGHTS = (1.0, 2.0, 4.0)
_DEGREES = ("mild", "moderate", "severe")
_FALSE_WEIGHT = 0.75
"""What a false finding costs, of what a missing one of its significance does."""
_COMPARISON_COST = 0.1
_WORST_CREDIT = 0.05
"""Credit that a finding keeps for being named at all, so that a miss is always worst."""
_SAME_SIZE = 1.2
"""Largest ratio of two measures that is no error."""


@dataclass(frozen=True)
class PatientContext:
    """What is known of the patient beside the film; see `Concept.usual`."""

    elderly: bool = False
    after_surgery: bool = False


@dataclass(frozen=True)
class JudgeError:
    """One error; `concept` is that of the reference, or of the draft where the reference has none."""

    kind: ErrorKind
    concept: str
    significant: bool


@dataclass(frozen=True)
class Judgement:
    """What the judge says of one draft.

    Attributes:
        errors: Every error.
        weight: Summed weights of the reference's findings.
        credit: How much of that weight the draft accounts for.
        false_weight: Summed weights of false findings.
        comparison_cost: Summed cost of errors of comparison.
    """

    errors: tuple[JudgeError, ...] = ()
    weight: float = 0.0
    credit: float = 0.0
    false_weight: float = 0.0
    comparison_cost: float = 0.0

    @property
    def score(self) -> float:
        """1 for no error, falling with every further one, never quite 0: 1 / (1 + 3 cost / weight of the reference).

        The weight is at least that of one critical finding, so that a lone minor one matters less.
        """
        cost = self.weight - self.credit + _FALSE_WEIGHT * self.false_weight + self.comparison_cost
        return 1 / (1 + 3 * cost / max(self.weight, _WEIGHTS[2]))

    def count(self, kind: ErrorKind, significant: bool | None = None) -> int:
        """Return how many errors there are of a kind; None: significant or not."""
        return sum(error.kind == kind and significant in (None, error.significant) for error in self.errors)


@dataclass(frozen=True)
class _Pair:
    """How well one drafted finding stands for one of the reference."""

    credit: float
    kinds: frozenset[ErrorKind]
    same: bool
    """Whether they are one concept: aligned before a vaguer or more exact one is."""


def judge(
    reference: Sequence[Statement], draft: Sequence[Statement], context: PatientContext | None = None
) -> Judgement:
    """Judge what a draft states against what its reference states; both with each finding once."""
    context = context or PatientContext()
    true, drafted = _parted(_stated(reference), _stated(draft)), _parted(_stated(draft), _stated(reference))
    pairs = _align(true, drafted, _denied(reference) | _denied(draft))
    levels = [_level(statement, context) for statement in true]
    weights = [_WEIGHTS[level] for level in levels]
    errors: list[JudgeError] = []
    credit = 0.0
    for index, level in enumerate(levels):
        if index not in pairs:
            errors.append(JudgeError("missing_finding", true[index].concept, level > 0))
            continue
        other, pair = pairs[index]
        credit += weights[index] * pair.credit
        significant = max(level, _level(drafted[other], context)) > 0
        errors += [JudgeError(kind, true[index].concept, significant) for kind in ERROR_KINDS if kind in pair.kinds]
    matched = {other for other, _ in pairs.values()}
    false = [statement for index, statement in enumerate(drafted) if index not in matched]
    errors += [JudgeError("false_finding", each.concept, _level(each, context) > 0) for each in false]
    errors += _resolutions(reference, draft)
    num_comparisons = sum(error.kind.endswith("comparison") for error in errors)
    return Judgement(
        errors=tuple(errors),
        weight=sum(weights),
        credit=credit,
        false_weight=sum(_WEIGHTS[_level(statement, context)] for statement in false),
        comparison_cost=_COMPARISON_COST * num_comparisons,
    )


def _stated(statements: Sequence[Statement]) -> list[Statement]:
    """Return what is there or may be; one finding by two names of a group (pneumonia, airspace disease) is one."""
    kept: list[Statement] = []
    for statement in statements:
        if statement.state not in (State.POSITIVE, State.UNCERTAIN):
            continue
        mate = next((index for index, other in enumerate(kept) if _two_names(other, statement)), None)
        if mate is None:
            kept.append(statement)
        else:
            kept[mate] = _by_one_name(kept[mate], statement)
    return kept


def _two_names(one: Statement, other: Statement) -> bool:
    group = CONCEPTS[one.concept].group
    if group is None or group != CONCEPTS[other.concept].group or one.concept == other.concept:
        return False
    sides = one.side == other.side or None in (one.side, other.side)
    return one.state is other.state and sides and (not one.zones or not other.zones or one.zones == other.zones)


def _by_one_name(one: Statement, other: Statement) -> Statement:
    """Return the finding by its weightier name, with all that either says of it."""
    first, second = sorted((one, other), key=lambda each: -_level(each, PatientContext()))
    return replace(
        first,
        side=first.side or second.side,
        zones=first.zones or second.zones,
        severity=first.severity or second.severity,
        size_mm=first.size_mm or second.size_mm,
        change=first.change or second.change,
    )


def _parted(statements: Sequence[Statement], others: Sequence[Statement]) -> list[Statement]:
    """Part a finding on both sides where the other text speaks of the sides one by one."""
    apart = {
        concept
        for concept in {statement.concept for statement in statements if statement.side == "bilateral"}
        if {"left", "right"} <= {other.side for other in others if other.concept == concept}
    }
    parted: list[Statement] = []
    for statement in statements:
        if statement.concept in apart and statement.side == "bilateral":
            parted += [replace(statement, side="left"), replace(statement, side="right")]
        else:
            parted.append(statement)
    return parted


def _level(statement: Statement, context: PatientContext) -> int:
    """Return how much a statement matters: 0 minor, 1 significant, 2 critical."""
    concept = CONCEPTS[statement.concept]
    level = _LEVELS.index(concept.significance)
    if statement.position == "malpositioned":
        return 2
    level += (statement.severity == "severe") - (statement.severity == "mild") - (statement.state is State.UNCERTAIN)
    expected = (context.elderly and "age" in concept.usual) or (context.after_surgery and "surgery" in concept.usual)
    return min(max(level - expected, 0), 2)


def _denied(statements: Sequence[Statement]) -> set[str]:
    return {statement.concept for statement in statements if statement.state is State.NEGATIVE}


def _align(true: Sequence[Statement], drafted: Sequence[Statement], denied: set[str]) -> dict[int, tuple[int, _Pair]]:
    """Return, by finding of the reference, the drafted one that stands for it.

    A vaguer or more exact word does not stand for a concept that either text denies.
    """
    if not true or not drafted:
        return {}
    table = [[_compare(statement, other, denied) for other in drafted] for statement in true]
    gains = np.array([[pair.credit + pair.same if pair else 0.0 for pair in row] for row in table])
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return {
        int(row): (int(column), pair)
        for row, column in zip(rows, columns, strict=True)
        if (pair := table[row][column]) is not None
    }


def _compare(true: Statement, draft: Statement, denied: set[str]) -> _Pair | None:
    """Return how well a drafted finding stands for a true one; None when they are different things."""
    cost = _concept_cost(true.concept, draft.concept)
    if cost is None:
        return None
    same = cost == 0
    if not same and {true.concept, draft.concept} & denied:
        return None
    wrong: set[ErrorKind] = set()
    cost += _place_cost(true, draft, wrong)
    if "wrong_place" in wrong and not same:
        return None  # something else, somewhere else
    cost += _degree_cost(true, draft, wrong)
    cost += 0.25 * (true.state is not draft.state)
    wrong |= _comparison_errors(true, draft)
    return _Pair(max(1 - cost, _WORST_CREDIT), frozenset(wrong), same)


def _concept_cost(true: str, draft: str) -> float | None:
    """Return what naming the finding so costs: nothing for its equal, little if more exact, more if vaguer."""
    group = CONCEPTS[true].group
    if true == draft or (group is not None and group == CONCEPTS[draft].group):
        return 0.0
    if true in generalisations(draft):
        return 0.1
    if draft in generalisations(true):
        return 0.25 + 0.1 * list(generalisations(true)).index(draft)
    return 0.15 if {true, draft} <= {"nodule", "mass"} else None


def _place_cost(true: Statement, draft: Statement, wrong: set[ErrorKind]) -> float:
    """Return what the drafted place costs; a place that only the draft names costs nothing."""
    cost = 0.0
    if true.side is not None:
        if draft.side is None:
            cost += 0.1
        elif draft.side != true.side:
            cost += 0.25 if "bilateral" in (true.side, draft.side) else 0.4
            wrong.add("wrong_place")
    if true.zones:
        if not draft.zones:
            cost += 0.1 if CONCEPTS[draft.concept].zoned else 0.0
        elif not set(true.zones) & set(draft.zones):
            cost += 0.25
            wrong.add("wrong_place")
    if "malpositioned" in (true.position, draft.position) and true.position != draft.position:
        cost += 0.9
        wrong.add("wrong_place")
    return cost


def _degree_cost(true: Statement, draft: Statement, wrong: set[ErrorKind]) -> float:
    """Return what the drafted degree and size cost; those that only the draft names cost nothing."""
    cost = 0.0
    if true.severity is not None:
        if draft.severity is None:
            cost += 0.05
        elif draft.severity != true.severity:
            cost += 0.2 * abs(_DEGREES.index(true.severity) - _DEGREES.index(draft.severity))
            wrong.add("wrong_degree")
    if true.size_mm:
        if not draft.size_mm:
            cost += 0.05
        else:
            steps = abs(log2(true.size_mm / draft.size_mm))
            cost += min(0.3 * steps, 0.5)
            if steps > log2(_SAME_SIZE):
                wrong.add("wrong_degree")
    return cost


def _comparison_errors(true: Statement, draft: Statement) -> set[ErrorKind]:
    if true.change == draft.change:
        return set()
    return {"missing_comparison"} if draft.change is None else {"false_comparison"}


def _resolutions(reference: Sequence[Statement], draft: Sequence[Statement]) -> list[JudgeError]:
    """Return the errors about what is no longer there: of what is absent, only that is compared."""
    true, drafted = (
        Counter(each.concept for each in statements if each.state is State.NEGATIVE and each.change == "resolved")
        for statements in (reference, draft)
    )
    false = [JudgeError("false_comparison", concept, significant=False) for concept in (drafted - true).elements()]
    missing = [JudgeError("missing_comparison", concept, significant=False) for concept in (true - drafted).elements()]
    return false + missing


def _judgements(
    references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
) -> list[Judgement]:
    return [_judged(tuple(reference), tuple(draft)) for reference, draft in zip(references, predictions, strict=True)]


@lru_cache(maxsize=20_000)
def _judged(reference: tuple[Statement, ...], draft: tuple[Statement, ...]) -> Judgement:
    """Judge without context; cached because each metric of the judge asks for the same pairs."""
    return judge(reference, draft)


class RuleJudgeCredit(Metric):
    """Share of the weight of findings that the drafts account for, false findings counted against them, in 0..1.

    Statistics: credit; weight of the reference's findings plus weight of false findings.
    """

    reads = "statements"
    empty = "an empty draft earns nothing; undefined where neither side states a finding"
    source = "radlet: docs/judge.md"

    def statistics(
        self, references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
    ) -> Floats:
        """Sum up credit and weight of each pair, shape (n, 2)."""
        rows = [(each.credit, each.weight + each.false_weight) for each in _judgements(references, predictions)]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return credit over weight."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return the weight that the credit is the share of."""
        return np.asarray(totals[..., 1])


@dataclass(frozen=True)
class RuleJudgeErrors(Metric):
    """Mean number of errors a report; lower is better, and there is no upper end.

    Statistics: errors, and a count of one.

    Attributes:
        kinds: Which kinds count.
        significant: Whether only significant errors count.
    """

    kinds: tuple[ErrorKind, ...] = ERROR_KINDS
    significant: bool = False

    reads = "statements"
    high = inf
    direction = "lower"
    empty = "an empty draft misses all of its reference; of an empty reference all findings of the draft are false"
    source = "the six kinds of CheXprompt (Zambrano Chaves et al. 2025), counted by the rules of docs/judge.md"

    def statistics(
        self, references: Sequence[Sequence[Statement]], predictions: Sequence[Sequence[Statement]]
    ) -> Floats:
        """Count the errors of each pair, shape (n, 2)."""
        only = True if self.significant else None
        rows = [
            (sum(each.count(kind, only) for kind in self.kinds), 1) for each in _judgements(references, predictions)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return errors over reports."""
        return ratio(totals[..., 0], totals[..., 1])


CREDIT = RuleJudgeCredit()
ERRORS = RuleJudgeErrors()
SIGNIFICANT_ERRORS = RuleJudgeErrors(significant=True)
FALSE_FINDINGS = RuleJudgeErrors(("false_finding",))
MISSING_FINDINGS = RuleJudgeErrors(("missing_finding",))
WRONG_PLACES = RuleJudgeErrors(("wrong_place",))
WRONG_DEGREES = RuleJudgeErrors(("wrong_degree",))
FALSE_COMPARISONS = RuleJudgeErrors(("false_comparison",))
MISSING_COMPARISONS = RuleJudgeErrors(("missing_comparison",))
