import numpy as np

from radlet.metrics.choices import ALL_RIGHT, EACH_RIGHT, SAME_FOR_BOTH, SAME_THROUGHOUT, Asked

ASKED = [Asked("p", "yes"), Asked("q", "yes"), Asked("p", "no"), Asked("q", "no"), Asked("r", "yes"), Asked("r", "no")]
CHOSEN = ["yes", "yes", "no", "yes", "", "no"]


def test_an_item_is_right_only_where_all_its_answers_are():
    assert ALL_RIGHT(ASKED, CHOSEN) == 1 / 3
    assert EACH_RIGHT(ASKED, CHOSEN) == 4 / 6
    assert SAME_FOR_BOTH(ASKED, CHOSEN) == SAME_THROUGHOUT(ASKED, CHOSEN) == 1 / 3
    assert (SAME_FOR_BOTH.sign, SAME_THROUGHOUT.sign, ALL_RIGHT.sign) == (-1, 0, 1)


def test_the_statistics_of_an_item_stand_in_its_first_row():
    assert ALL_RIGHT.statistics(ASKED, CHOSEN).tolist() == [[1, 1], [0, 1], [0, 0], [0, 0], [0, 1], [0, 0]]
    assert ALL_RIGHT.statistics([], []).shape == (0, 2)
    assert np.isnan(ALL_RIGHT.score_judged(np.zeros(2)))
