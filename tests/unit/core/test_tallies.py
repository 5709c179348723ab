from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.tallies import Tally


class Inner(Tally):
    words: Counter[int] = Counter()


class Counts(Tally):
    reasons: Counter[str] = Counter()
    lengths: dict[str, Counter[int]] = {}
    labels: dict[str, dict[str, Counter[int]]] = {}
    splits: dict[str, Inner] = {}
    inner: Inner = Inner()


def count(events):
    counts = Counts()
    for name, number in events:
        counts.reasons[name] += 1
        counts.lengths.setdefault(name, Counter())[number] += 1
        counts.labels.setdefault("x", {}).setdefault(name, Counter())[number] += 1
        counts.splits.setdefault(name, Inner()).words[number] += 1
        counts.inner.words[number] += 1
    return counts


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)))


@given(EVENTS, st.integers(0, 20), st.integers(0, 20))
def test_parts_add_up_to_the_whole_through_json_with_their_order(events, one, two):
    first, last = sorted((one, two))
    total = Counts()
    for part in (events[:first], events[first:last], events[last:]):
        total.absorb(Counts.model_validate_json(count(part).model_dump_json()))
    assert total == count(events)
    assert list(total.reasons) == list(count(events).reasons)
    assert list(total.labels.get("x", {})) == list(count(events).labels.get("x", {}))


def test_what_was_absorbed_is_not_shared():
    part = count([("a", 1)])
    total = Counts()
    total.absorb(part)
    total.absorb(part)
    assert part == count([("a", 1)])
    assert Counts() == count([])


def test_unknown_counts_are_refused():
    with pytest.raises(ValueError, match="extra"):
        Counts.model_validate_json('{"others": {}}')
