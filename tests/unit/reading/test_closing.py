from radlet.reading.closing import Closing


def test_the_time_runs_from_the_first_who_asks_and_is_one_for_all() -> None:
    moments = iter([100.0, 104.0, 129.0, 140.0])
    closing = Closing(30.0, moments.__next__)
    assert [closing.left_s() for _ in range(4)] == [30.0, 26.0, 1.0, 0.0]
