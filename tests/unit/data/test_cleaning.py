"""Cleaned text is single-spaced sentences without numbering and placeholders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.cleaning import clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  The lungs\n are   clear . ", "The lungs are clear."),
        ("1. Left effusion.\n2. Edema.", "Left effusion. Edema."),
        ("1.Left effusion. 2) Edema.", "Left effusion. Edema."),
        ("- Left effusion\n- Edema", "Left effusion. Edema"),
        ("Scar at the apex.There is no edema.", "Scar at the apex. There is no edema."),
        ("Clear.. No edema. .", "Clear. No edema."),
        ("An 8.5 mm nodule at T6, T12.", "An 8.5 mm nodule at T6, T12."),
        ("Nodule of 2. Unchanged.", "Nodule of 2. Unchanged."),
        ("", ""),
    ],
)
def test_layout(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Normal chest x-XXXX.", "Normal chest x-ray."),
        ("There are no XXXX of a pleural effusion.", "There are no evidence of a pleural effusion."),
        ("No XXXX focal consolidation.", "No focal consolidation."),
        ("XXXX right effusion is seen today.", "Right effusion is seen today."),
        ("Blunted costophrenic XXXX.", "Blunted costophrenic angle."),
        ("Clear. XXXX are normal.", "Clear."),
        ("Clear. Compared with XXXX, XXXX.", "Clear."),
        ("Clear. The heart and lungs have XXXX XXXX in the interval.", "Clear."),
        ("Clear. Seen by ___ at [**2101-1-1**] with ___.", "Clear."),
        ("XXXX XXXX XXXX.", ""),
    ],
)
def test_placeholders(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("XXXX XXXX opacity in left midlung.", "Opacity in left midlung."),
        (
            "There are nodules in the left lung, stable from XXXX of XXXX.",
            "There are nodules in the left lung, stable.",
        ),
    ],
)
def test_a_sentence_that_states_an_observation_stays(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


_PIECES = [
    "XXXX",
    "___",
    "1.",
    "2)",
    ". ",
    ".",
    ", ",
    "\n",
    "- ",
    "The lungs ",
    "are clear",
    "Effusion",
    " of ",
    "3.5",
    "x-",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES), max_size=30).map("".join)))
def test_cleaning_what_is_clean_changes_nothing(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert "XXXX" not in clean


@given(st.lists(st.sampled_from(["Lungs are clear.", "No edema.", "A 5 mm nodule."]), min_size=1))
def test_plain_sentences_pass_unchanged(sentences: list[str]) -> None:
    assert clean_text("\n".join(sentences)) == " ".join(sentences)


@pytest.mark.parametrize("unit", ["1. ", "(1) ", "XXXX ", "the XXXX ", "- \n", "x-", "\n", "[**", ". 2. "])
def test_repetition_of_any_length_is_cleaned(unit: str) -> None:
    assert len(clean_text(unit * (20_000 // len(unit)))) <= 20_000
