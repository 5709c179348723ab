"""A public set's source states its terms, so that no data card of one goes without them."""

import pytest

from radlet.data.sources import SOURCES

OWN = {"folder", "dicom_tree", "synthetic"}


@pytest.mark.parametrize("kind", sorted(set(SOURCES)))
def test_public_sets_state_their_terms_and_others_none(kind):
    terms = SOURCES[kind].terms
    assert (terms is None) == (kind in OWN)
    assert terms is None or terms.endswith(".")
