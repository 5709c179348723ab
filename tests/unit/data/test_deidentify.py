import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.deidentify import remove_identifiers
from radlet.data.observations import label_report
from radlet.data.sections import parse_sections
from radlet.data.sources.synthetic import SyntheticSource


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("PATIENT: Mirela Ashdown  MRN: 40823123  DOB: 03/12/1950\n\nThe heart is large.", "The heart is large."),
        ("PATIENT: ASHDOWN, MIRELA  MRN: A40823123\nThe heart is large.", "The heart is large."),
        ("Name: J. Smith-Jones\nNo effusion.", "No effusion."),
        ("Accession number: 1234567. No effusion.", "No effusion."),
        ("No effusion. Discussed with Dr. Lindqvist by telephone at 555-123-4567.", "No effusion."),
        ("The findings were discussed with John Smith. No effusion.", "No effusion."),
        ("Dr. O'Brien and Dr. McDonald were paged at 3pm.", ""),
        ("Electronically signed by John Smith, MD on 2019-05-12.", ""),
        (
            "Pneumothorax, discussed with Dr. John van der Berg at 10:35 AM.",
            "Pneumothorax, discussed with the physician.",
        ),
        ("Drs. Smith and Jones were told of the effusion.", "The physicians were told of the effusion."),
        ("DR. SMITH NOTIFIED OF PNEUMOTHORAX AT 1035 HOURS.", "The physician NOTIFIED OF PNEUMOTHORAX."),
        ("Mrs. Ashdown is rotated.", "The patient is rotated."),
        ("Compared to 5/12/2019, the effusion has grown.", "Compared to the prior study, the effusion has grown."),
        ("Stable since January 5, 2019.", "Stable since the prior study."),
        ("The nodule seen on CT in March 2019 is stable.", "The nodule seen on CT is stable."),
        ("Questions: reading.room@example.org or (555) 123-4567.", "Questions: or."),
        ("93-year-old woman with cough.", "90-year-old woman with cough."),
    ],
)
def test_identifiers_go_and_the_rest_stays(text, left):
    assert remove_identifiers(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "T5/6 fracture. A 2.5 cm nodule, 3 x 4 cm mass.",
        "May represent edema. May 2 views be obtained?",
        "Patient: rotated to the left.\n\nPatient is rotated.",
        "Patient: Cardiomegaly is present.",
        "Discussed with Dr. XXXX. Compared to XXXX.",
        "1. No effusion.\n2. Right 7-8 rib fractures.  45-year-old man.",
        "The findings were discussed with the referring physician.",
        "",
    ],
)
def test_text_without_identifiers_is_returned_as_it_is(text):
    assert remove_identifiers(text) == text


def test_synthetic_reports_lose_what_was_planted_and_nothing_else():
    plain = dict(SyntheticSource(num_patients=60).reports(3))
    for study_id, report in SyntheticSource(num_patients=60, identifiers=True).reports(3):
        unchanged = re.sub(r"\b9\d(?= year old)", "90", plain[study_id].text)
        assert remove_identifiers(plain[study_id].text) == unchanged
        assert report.identifiers
        sections = parse_sections(report.text)
        left = {name: remove_identifiers(text) for name, text in sections.items()}
        assert not [planted for planted in report.identifiers if planted in " ".join(left.values())]
        assert label_report(left["findings"]) == label_report(sections["findings"])
        for sentence in report.sentences:
            if sentence.statements:
                assert sentence.text in " ".join(left.values())


SENTENCES = st.sampled_from(
    [
        "Discussed with Dr. Lindqvist at 10:35 on 5/12/2019.",
        "PATIENT: Ann Lindqvist  MRN: 40823123",
        "No pneumothorax since 5/12/2019.",
        "Small left effusion, called to Dr. A. Lindqvist, MD at 555-123-4567.",
        "DR. LINDQVIST TOLD OF EFFUSION.",
        "The bones are normal.",
    ]
)


@given(st.lists(SENTENCES, max_size=8), st.sampled_from([" ", "\n\n", "\n"]))
def test_observations_stay_in_any_company(sentences, separator):
    text = separator.join(sentences)
    left = remove_identifiers(text)
    assert remove_identifiers(left) == left
    for word in ("pneumothorax", "effusion", "EFFUSION", "The bones are normal."):
        assert left.count(word) == text.count(word)
    assert not any(planted in left for planted in ("Lindqvist", "LINDQVIST", "40823123", "555-123-4567", "5/12/2019"))
