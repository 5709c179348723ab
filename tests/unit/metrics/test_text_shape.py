import pytest

from radlet.metrics.text_shape import DISTINCT_2, LENGTH_RATIO, LENGTH_WORDS, REPETITION_4, UNIQUE_SHARE


def test_length():
    assert LENGTH_WORDS(["a b", "c d"], ["a b c", "d"]) == 2.0
    assert LENGTH_RATIO(["a b", "c d e f"], ["a b c", ""]) == pytest.approx(0.5)


def test_unique_share_ignores_case_and_spacing():
    drafts = ["No disease.", "no  disease.", "Effusion.", "Edema."]
    assert UNIQUE_SHARE(drafts, drafts) == 0.75
    assert UNIQUE_SHARE([""] * 3, ["a", "A", "a "]) == pytest.approx(1 / 3)
    assert UNIQUE_SHARE([], []) == 0.0


def test_distinct_ngrams():
    assert DISTINCT_2([""], ["a b a b"]) == pytest.approx(2 / 3)  # ab, ba, ab
    assert DISTINCT_2([""], ["a"]) == 0.0
    assert DISTINCT_2(["", ""], ["a b c", "A b d"]) == pytest.approx(3 / 4)  # ab in both, bc, bd


def test_repetition_counts_what_a_draft_has_said_before():
    # Of the runs of four words of "a b c d a b c d" (5) one is said twice.
    assert REPETITION_4([""], ["a b c d a b c d"]) == pytest.approx(1 / 5)
    assert REPETITION_4(["", ""], ["a b c d a b c d", "a b c"]) == pytest.approx(1 / 10)
    assert REPETITION_4([""], ["a a a a a a"]) == pytest.approx(2 / 3)
