from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from radlet.core.errors import DataError
from radlet.reading.drift.card import DriftCard, Measure, Observed, edges_of, make_measures
from radlet.reading.store.tables import now


def test_bins_hold_a_tenth_each() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    (measure,) = make_measures([Observed(scanner=None, values={"detail": float(value)}) for value in values])
    assert set(measure.counts) <= {99, 100, 101}
    assert len(measure.edges or ()) == 11
    assert measure.count([-99.0, 99.0])[0] == measure.count([-99.0, 99.0])[-1] == 1


def test_a_value_that_many_share_has_a_bin_of_its_own() -> None:
    edges = edges_of([256.0] * 100)
    measure = Measure(name="side_px", kind="input", edges=edges, counts=(0,) * (len(edges) - 1))
    assert measure.count([255.0, 256.0, 256.0, 257.0]) == (1, 2, 1)
    half = edges_of([0.0] * 50 + [float(value) for value in range(1, 51)])
    counts = Measure(name="x", kind="input", edges=half, counts=(0,) * (len(half) - 1)).count([0.0, 0.5])
    assert max(counts) == 1


def test_words_that_are_none_of_the_labels_do_not_count() -> None:
    measure = Measure(name="sex", kind="input", labels=("F", "M", "other"), counts=(0, 0, 0))
    assert measure.count(["F", "F", "M", "?"]) == (2, 1, 0)


def test_a_measure_needs_as_many_counts_as_bins() -> None:
    with pytest.raises(ValidationError, match="a count for each bin"):
        Measure(name="sex", kind="input", labels=("F", "M"), counts=(1,))


def test_a_card_is_read_as_it_was_written_and_nothing_else_is(tmp_path: Path) -> None:
    rows = [Observed(scanner="Agfa DX", values={"sex": "F", "words": float(number)}) for number in range(250)]
    digests = {"checkpoint_digest": "c" * 64, "examples_digest": "e" * 64}
    card = DriftCard(model="m", created_at=now(), films=250, reports=9, measures=make_measures(rows), **digests)
    card.write(tmp_path / "new" / "drift.json")
    assert DriftCard.read(tmp_path / "new" / "drift.json") == card
    with pytest.raises(DataError, match="no such file"):
        DriftCard.read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"version": 1}')
    with pytest.raises(DataError, match="no drift reference"):
        DriftCard.read(tmp_path / "other.json")
