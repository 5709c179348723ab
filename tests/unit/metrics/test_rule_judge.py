"""What the rule judge counts and how its score falls; the golden cases are our own."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import State
from radlet.core.statements import CONCEPTS, Statement
from radlet.metrics.rule_judge import CREDIT, ERROR_KINDS, PatientContext, judge
from radlet.metrics.statement_f1 import COMPLETE, PARTIAL, SIMPLE

P, N, U = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN
EFFUSION = Statement("pleural effusion", P, "left", severity="moderate")
MASS = Statement("mass", P, "right", ("upper",), size_mm=40)
TUBE = Statement("endotracheal tube", P, position="satisfactory")


def counts(reference, draft):
    judgement = judge(reference, draft)
    return {kind: judgement.count(kind) for kind in ERROR_KINDS if judgement.count(kind)}


def changed(statement, **fields):
    return Statement(**{**vars(statement), **fields})


@pytest.mark.parametrize(
    ("reference", "draft", "expected"),
    [
        ([EFFUSION], [EFFUSION], {}),
        ([], [], {}),
        ([EFFUSION], [], {"missing_finding": 1}),
        ([], [EFFUSION, MASS], {"false_finding": 2}),
        ([EFFUSION], [changed(EFFUSION, state=N)], {"missing_finding": 1}),
        ([Statement("edema", N)], [], {}),
        ([EFFUSION], [changed(EFFUSION, side="right")], {"wrong_place": 1}),
        ([EFFUSION], [changed(EFFUSION, side="right", severity="severe")], {"wrong_place": 1, "wrong_degree": 1}),
        ([EFFUSION], [changed(EFFUSION, side=None, severity=None)], {}),
        ([Statement("pleural effusion", P)], [EFFUSION], {}),
        ([MASS], [changed(MASS, zones=("lower",))], {"wrong_place": 1}),
        ([MASS], [changed(MASS, zones=("lower",), side="left")], {"wrong_place": 1}),
        ([MASS], [changed(MASS, size_mm=80)], {"wrong_degree": 1}),
        ([MASS], [changed(MASS, size_mm=44)], {}),
        ([EFFUSION], [changed(EFFUSION, change="new")], {"false_comparison": 1}),
        ([changed(EFFUSION, change="new")], [EFFUSION], {"missing_comparison": 1}),
        ([changed(EFFUSION, change="increased")], [changed(EFFUSION, change="decreased")], {"false_comparison": 1}),
        ([], [Statement("edema", N, change="resolved")], {"false_comparison": 1}),
        ([Statement("edema", N, change="resolved")], [], {"missing_comparison": 1}),
        ([TUBE], [changed(TUBE, position=None)], {}),
        ([TUBE], [changed(TUBE, position="malpositioned")], {"wrong_place": 1}),
        ([Statement("pneumonia", P, "left")], [Statement("consolidation", P, "left")], {}),
        ([Statement("pneumonia", P, "left")], [Statement("opacity", P, "left")], {}),
        ([Statement("airspace disease", P), Statement("pneumonia", P, "left")], [Statement("pneumonia", P)], {}),
        (
            [Statement("airspace disease", P, "right"), Statement("pneumonia", P, "left")],
            [Statement("pneumonia", P, "left")],
            {"missing_finding": 1},
        ),
        (
            [Statement("pneumonia", P, "left")],
            [Statement("opacity", P, "right")],
            {"missing_finding": 1, "false_finding": 1},
        ),
        (
            [Statement("pneumonia", P, "left")],
            [Statement("opacity", P, "left"), Statement("pneumonia", N)],
            {"missing_finding": 1, "false_finding": 1},
        ),
        (
            [Statement("atelectasis", P)],
            [Statement("consolidation", P)],
            {"missing_finding": 1, "false_finding": 1},
        ),
        ([changed(EFFUSION, side="bilateral")], [EFFUSION, changed(EFFUSION, side="right")], {}),
    ],
)  # fmt: skip
def test_golden_counts(reference, draft, expected):
    assert counts(reference, draft) == expected


def test_the_same_concept_is_aligned_before_a_vaguer_one():
    nodule = Statement("nodule", P, "right", ("lower",), size_mm=10)
    reference = [nodule, Statement("opacity", P, "right", ("lower",))]
    assert counts(reference, [changed(nodule, size_mm=30)]) == {"wrong_degree": 1, "missing_finding": 1}


@pytest.mark.parametrize(
    ("reference", "draft", "significant"),
    [
        ([Statement("pneumothorax", P)], [], True),
        ([Statement("pleural effusion", P, severity="mild")], [], False),
        ([Statement("pleural effusion", P)], [], True),
        ([Statement("scoliosis", P)], [], False),
        ([TUBE], [changed(TUBE, position="malpositioned")], True),
        ([changed(EFFUSION, severity="mild")], [changed(EFFUSION, severity="severe")], True),
        ([changed(EFFUSION, severity="mild")], [changed(EFFUSION, severity="mild", side="right")], False),
        ([], [Statement("free air", P)], True),
        ([], [Statement("pneumonia", U)], False),
    ],
)
def test_significance(reference, draft, significant):
    (error,) = judge(reference, draft).errors
    assert error.significant is significant


def test_what_is_expected_of_the_patient_matters_less():
    missed = [Statement("pneumomediastinum", P)]
    assert judge(missed, [TUBE], PatientContext(after_surgery=True)).score > judge(missed, [TUBE]).score
    assert judge(missed, [], PatientContext(after_surgery=True)).score > judge(missed, []).score
    heart = [Statement("cardiomegaly", P)]
    assert judge(heart, [], PatientContext(after_surgery=True)).score == judge(heart, []).score


@pytest.mark.parametrize(
    ("reference", "drafts"),
    [
        ([MASS], [[MASS], [changed(MASS, size_mm=30)], [changed(MASS, size_mm=10)], []]),
        ([MASS], [[MASS], [changed(MASS, zones=())], [changed(MASS, zones=("mid",))], [changed(MASS, side="left")]]),
        ([EFFUSION], [[EFFUSION], [changed(EFFUSION, side=None)], [], [MASS], [MASS, TUBE]]),
        ([Statement("collapse", P)], [[Statement(name, P)] for name in ("collapse", "atelectasis", "opacity")]),
        (
            [TUBE, Statement("free air", P)],
            [[TUBE, Statement("free air", P)], [Statement("free air", P)], [TUBE], []],
        ),
    ],
)  # fmt: skip
def test_the_score_falls_from_draft_to_draft(reference, drafts):
    scores = [judge(reference, draft).score for draft in drafts]
    assert all(better > worse for better, worse in pairwise(scores)), scores


STATEMENTS = st.lists(
    st.builds(
        Statement,
        concept=st.sampled_from(sorted(CONCEPTS)),
        state=st.sampled_from([P, N, U]),
        side=st.sampled_from([None, "left", "right", "bilateral"]),
        zones=st.sampled_from([(), ("upper",), ("lower",)]),
        severity=st.sampled_from([None, "mild", "severe"]),
        size_mm=st.sampled_from([None, 5.0, 50.0]),
        change=st.sampled_from([None, "new", "resolved"]),
        position=st.sampled_from([None, "satisfactory", "malpositioned"]),
    ),
    max_size=5,
)


@given(STATEMENTS)
def test_a_text_judged_against_itself_has_no_error(statements):
    judgement = judge(statements, statements)
    assert judgement.errors == ()
    assert judgement.score == 1.0


@given(STATEMENTS, STATEMENTS)
def test_findings_are_matched_missed_or_false(reference, draft):
    """Swapping the texts swaps what is missing and what is false."""
    one, other = judge(reference, draft), judge(draft, reference)
    assert one.count("missing_finding") == other.count("false_finding")
    assert 0 < one.score <= 1
    assert 0 <= one.credit <= one.weight
    assert one.count("wrong_place") == one.count("wrong_place", True) + one.count("wrong_place", False)


@given(STATEMENTS)
def test_one_more_false_finding_always_costs(statements):
    false = Statement("foreign body", P)
    kept = [each for each in statements if each.concept != false.concept]
    assert judge(kept, [*kept, false]).score < judge(kept, kept).score


def test_credit_pools_the_weights_of_reports():
    # A mass (4) found, a moderate effusion (2) missed, a false fracture (2).
    value = CREDIT([[MASS], [EFFUSION], []], [[MASS], [], [Statement("fracture", P)]])
    assert value == pytest.approx(4 / 8)


def test_statement_f1_by_hand():
    reference = [EFFUSION, Statement("edema", N)]
    draft = [changed(EFFUSION, side="right"), Statement("edema", N), Statement("fracture", P)]
    assert SIMPLE([reference], [draft]) == pytest.approx(2 * 2 / (2 + 3))
    # Attributes: left and moderate against right and moderate.
    assert PARTIAL([reference], [draft]) == pytest.approx(2 * 3 / (4 + 5))
    assert COMPLETE([reference], [draft]) == pytest.approx(2 * 1 / (2 + 3))
