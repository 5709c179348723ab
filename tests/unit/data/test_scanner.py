import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.scanner import LINES, OTHER, read_scanner, told_maker, told_model

CASES = {
    ("Carestream Health", "DRX-1"): "Carestream DRX-1",
    ('"GE Healthcare"', "Definium 8000"): "GE DEFINIUM 8000",
    ("FUJIFILM Corporation", ""): "Fujifilm",
    ("Philips Medical Systems", "DigitalDiagnost"): "Philips DIGITALDIAGNOST",
    ("AGFA", "DX-D 600 Smith^John"): "Agfa DX-D 600",
    ("radlet", "SYNTHETIC FILM"): "radlet SYNTHETIC FILM",
    ("Smith^John", "DRX-1"): OTHER,
    ("Gerald", "DRX-1"): OTHER,
    ("  ", "DRX-1"): None,
}


@pytest.mark.parametrize("header", sorted(CASES))
def test_maker_and_model_as_far_as_they_can_be_told(header):
    assert read_scanner(*header) == CASES[header]


def test_numbers_of_people_and_names_do_not_stay_in_a_model():
    assert told_model("DRX-1 12345678 MEIER 19620214 A12345 room") == "DRX-1"
    assert told_model("CXDI-55C, 8000; (XR656)") == "CXDI-55C XR656"


@given(st.text(max_size=60), st.text(max_size=60))
def test_only_known_makers_and_short_parts_get_through_and_twice_is_once(maker, model):
    told = told_maker(maker)
    assert told is None or told_maker(told) == told
    kept = told_model(model)
    assert told_model(kept) == kept
    assert len(kept) <= 32
    assert not re.search(r"\d{5}", kept)
    assert all(any(letter.isdigit() for letter in part) or part in LINES for part in kept.split())
