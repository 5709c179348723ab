"""Metrics of what reports state, from text to score, by hand."""

import numpy as np
import pytest

from radlet.core.statements import Statement
from radlet.evaluation.readings import place_statements, read_reports
from radlet.metrics import METRICS


def value(name, references, drafts):
    metric = METRICS[name]
    expected, drafted = (read_reports(texts, metric.reads) for texts in (references, drafts))
    return float(metric.score_judged(metric.statistics(expected, drafted).sum(axis=0)))


def test_negation_agreement_judges_what_both_speak_of():
    references = ["No pneumothorax. Small left effusion.", "The heart is enlarged."]
    drafts = ["Right pneumothorax. Small effusion. Edema.", "Normal heart size. No effusion."]
    # Both speak of pneumothorax (differs), effusion (same) and the heart (differs).
    assert value("negation_agreement", references, drafts) == pytest.approx(1 / 3)
    assert np.isnan(value("negation_agreement", ["Edema."], ["No effusion."]))


def test_severity_agreement_pairs_findings_by_concept_and_side():
    references = ["Small left pleural effusion. Large right pleural effusion.", "Severe edema. Mild cardiomegaly."]
    drafts = ["Large right pleural effusion. Moderate left pleural effusion.", "Edema. Mild cardiomegaly."]
    # The right effusion and the heart agree, the left effusion does not; edema is graded once only.
    assert value("severity_agreement", references, drafts) == pytest.approx(2 / 3)
    assert np.isnan(value("severity_agreement", ["Small left effusion."], ["Small right effusion."]))
    assert value("severity_agreement", ["Small left effusion."], ["Small effusion."]) == 1.0


@pytest.mark.parametrize(
    ("kind", "reference", "draft", "missed"),
    [
        ("pneumothorax", "Small right pneumothorax.", "No pneumothorax.", 1),
        ("pneumothorax", "Small right pneumothorax.", "Possible pneumothorax.", 0),
        ("pneumothorax", "No pneumothorax.", "No pneumothorax.", np.nan),
        ("malposition", "The endotracheal tube is in the right main bronchus.", "Endotracheal tube in place.", 1),
        ("large_effusion", "Large left pleural effusion.", "Small left pleural effusion.", 1),
        ("large_effusion", "Large left pleural effusion.", "Left pleural effusion.", 0),
        ("large_effusion", "Small left pleural effusion.", "", np.nan),
    ],
)
def test_critical_misses(kind, reference, draft, missed):
    np.testing.assert_equal(value(f"critical_misses_{kind}", [reference], [draft]), missed)
    np.testing.assert_equal(value("critical_misses", [reference], [draft]), missed)


def test_a_report_with_two_critical_findings_is_missed_when_one_is():
    both = "Right pneumothorax. Large left pleural effusion."
    references = [both, both, "The lungs are clear.", "Left pneumothorax."]
    drafts = ["Right pneumothorax.", both, "", ""]
    assert value("critical_misses", references, drafts) == pytest.approx(2 / 3)
    assert value("critical_misses_pneumothorax", references, drafts) == pytest.approx(1 / 3)
    assert value("critical_misses_large_effusion", references, drafts) == pytest.approx(1 / 2)


def test_prior_hallucination_asks_only_reports_without_an_earlier_exam():
    references = ["Unchanged small effusion.", "Small effusion.", "No pneumothorax.", ""]
    drafts = ["Unchanged effusion.", "Effusion, unchanged compared to the prior exam.", "Clear lungs.", ""]
    assert value("prior_hallucination", references, drafts) == pytest.approx(1 / 3)
    assert np.isnan(value("prior_hallucination", references[:1], drafts[:1]))


def test_what_a_draft_adds_beyond_the_length_of_its_reference_is_not_read():
    reference = "Small left pleural effusion."  # four words
    exact, late = "Small left pleural effusion.", "Small left pleural effusion. Large heart. Rib fracture."
    late_right = "Normal heart size and clear lungs throughout. Small left pleural effusion."
    assert value("statement_f1_at_equal_length", [reference], [exact]) == 1.0
    assert value("statement_f1_at_equal_length", [reference], [late]) == 1.0
    assert value("statement_f1_simple", [reference], [late]) < 1.0
    assert value("statement_f1_at_equal_length", [reference], [late_right]) == 0.0
    assert value("statement_f1_simple", [reference], [late_right]) > 0.0


def test_words_before_a_statement_are_counted():
    placed = place_statements("  The lungs are clear.\n Small  left pleural effusion.")
    assert placed.num_words == 8
    by_concept = {each.concept: before for each, before in zip(placed.statements, placed.words_before, strict=True)}
    assert by_concept["pleural effusion"] == 6  # at its name
    assert place_statements("") == (0, (), [])
    assert all(isinstance(each, Statement) for each in placed.statements)


def test_edit_distance_ignores_spacing_and_counts_capitals():
    assert value("edit_distance_words", ["The heart is big."], ["The  heart\nis big."]) == 0.0
    assert value("edit_distance_words", ["The heart is big."], ["the heart is small."]) == pytest.approx(2 / 4)
    assert value("edit_distance_characters", ["abcd"], ["abXd"]) == pytest.approx(1 / 4)
    assert value("edit_distance_characters", ["", "a"], ["", ""]) == pytest.approx(1 / 2)
