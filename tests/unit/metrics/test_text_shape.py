import pytest

from radlet.metrics.text_shape import LENGTH_RATIO, LENGTH_WORDS, distinct_ngrams, unique_share


def test_length():
    assert LENGTH_WORDS(["a b", "c d"], ["a b c", "d"]) == 2.0
    assert LENGTH_RATIO(["a b", "c d e f"], ["a b c", ""]) == pytest.approx(0.5)


def test_unique_share_ignores_case_and_spacing():
    assert unique_share(["No disease.", "no  disease.", "Effusion.", "Edema."]) == 0.75
    assert unique_share([]) == 0.0


def test_distinct_ngrams():
    assert distinct_ngrams(["a b a b"], 2) == pytest.approx(2 / 3)  # ab, ba, ab
    assert distinct_ngrams(["a"], 2) == 0.0
