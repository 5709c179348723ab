import numpy as np
import pytest

from radlet.metrics.stability import chance_limit, stability_index

TAIL = 0.02
TRIALS = 1000
"""By chance 20 of them pass the limit; 35 or more in less than one of a thousand runs."""
MOST = 35


def test_the_index_is_the_symmetric_divergence_of_the_shares() -> None:
    p, q = np.array([0.3, 0.7]), np.array([0.6, 0.4])
    expected = ((q - p) * np.log(q / p)).sum()
    assert stability_index([300_000, 700_000], [600_000, 400_000]) == pytest.approx(expected, rel=1e-4)
    assert stability_index([20, 30, 50], [20, 30, 50]) == 0
    assert np.isfinite(stability_index([10, 0], [0, 10]))
    assert stability_index([5, 5], [[5, 5], [9, 1]]).shape == (2,)


@pytest.mark.parametrize("num_seen", [50, 400])
@pytest.mark.parametrize("shares", [[0.97, 0.02, 0.01, 0.0], [0.1] * 10])
def test_chance_passes_the_limit_as_rarely_as_asked(shares: list[float], num_seen: int) -> None:
    # The reference is drawn from the same population, a new one for each eighth of the trials.
    random = np.random.default_rng(1)
    found = 0
    for _ in range(8):
        expected = random.multinomial(500, shares)
        limit = chance_limit(tuple(int(one) for one in expected), num_seen, TAIL)
        found += int((stability_index(expected, random.multinomial(num_seen, shares, TRIALS // 8)) > limit).sum())
    assert found <= MOST


def test_a_shift_of_shares_passes_it() -> None:
    expected = (200,) * 10
    seen = np.random.default_rng(2).multinomial(200, [0.05] * 5 + [0.15] * 5, 200)
    assert (stability_index(expected, seen) > chance_limit(expected, 200, 0.001)).mean() > 0.95


def test_more_films_and_fewer_bins_have_lower_limits() -> None:
    assert chance_limit((200,) * 10, 1000, 0.01) < chance_limit((200,) * 10, 100, 0.01)
    assert chance_limit((1000, 1000), 100, 0.01) < chance_limit((200,) * 10, 100, 0.01)
    assert chance_limit((500,), 100, 0.01) == 0
