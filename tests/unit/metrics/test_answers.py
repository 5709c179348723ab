import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radlet.metrics.answers import (
    ACCURACY,
    EXACT_MATCH,
    TOKEN_F1,
    TOKEN_RECALL,
    YES_SHARE,
    answer_words,
    yes_or_no,
)

MARKS = (ACCURACY, EXACT_MATCH, TOKEN_RECALL, TOKEN_F1)
TEXTS = st.lists(st.sampled_from(["yes", "no", "the", "left", "lobe", "2", "two", "?", "é"]), max_size=5).map(" ".join)


def test_answers_are_compared_without_case_punctuation_and_articles():
    assert answer_words("The right lower-lobe.") == ("right", "lower", "lobe")
    assert answer_words("Two masses, 3.5 cm") == ("2", "masses", "3.5", "cm")
    assert answer_words("It's a CT") == ("its", "ct")
    assert answer_words(" ?! ") == ()


@pytest.mark.parametrize(
    ("reference", "answer", "accuracy", "exact", "recall", "f1"),
    [
        ("Yes", "yes.", 1, 1, 1, 1),
        ("yes", "Yes, there is an effusion", 1, 0, 1, 0.4),
        ("no", "Yes, no doubt", 0, 0, 1, 0.5),
        ("no", "normal", 0, 0, 0, 0),
        ("left", "On the left", 1, 0, 1, 2 / 3),
        ("lower lobe", "lobe lower", 0, 0, 1, 1),
        ("right lower lobe", "the lower lobe", 0, 0, 2 / 3, 0.8),
        ("right", "right right right", 1, 0, 1, 0.5),
        ("1 or 1", "1", 0, 0, 1 / 3, 0.5),
        ("heart", "", 0, 0, 0, 0),
        ("", "heart", 0, 0, 0, 0),
    ],
)
def test_marks_by_hand(reference, answer, accuracy, exact, recall, f1):
    found = [metric([reference], [answer]) for metric in MARKS]
    assert found == pytest.approx([accuracy, exact, recall, f1])


def test_a_reference_of_none_is_not_judged():
    for metric in MARKS:
        totals = metric.statistics(["yes", None], ["yes", "no"]).sum(axis=0)
        assert metric.score(totals) == 1
        assert metric.judged(totals) == 1


def test_the_share_of_yes_reads_the_first_word_that_is_one():
    assert yes_or_no("Well, no; yes?") == "no"
    assert yes_or_no("maybe") is None
    assert YES_SHARE(["no", "no", "yes", "yes"], ["yes", "Yes, it is", "no", "maybe"]) == 0.5


@settings(max_examples=50)
@given(TEXTS, TEXTS)
def test_an_exact_answer_has_every_mark_and_none_has_more(reference, answer):
    accuracy, exact, recall, f1 = (metric([reference], [answer]) for metric in MARKS)
    assert 0 <= f1 <= 1
    assert 0 <= recall <= 1
    if exact:
        assert accuracy == recall == f1 == 1
    if accuracy and yes_or_no(reference) is None:
        assert recall == 1
