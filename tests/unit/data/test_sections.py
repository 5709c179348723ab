"""Sections of reports in the forms that institutions write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import SECTIONS
from radlet.data.sections import parse_sections

STYLES = {
    "upper colon": "INDICATION: Cough.\nCOMPARISON: None.\nFINDINGS: Lungs are clear.\nIMPRESSION: Normal.",
    "title colon": "Indication: Cough.\nComparison: None.\nFindings: Lungs are clear.\nImpression: Normal.",
    "lower colon": "indication: Cough.\ncomparison: None.\nfindings: Lungs are clear.\nimpression: Normal.",
    "own line": "INDICATION\nCough.\n\nCOMPARISON\nNone.\n\nFINDINGS\nLungs are clear.\n\nIMPRESSION\nNormal.",
    "colon and line": "INDICATION:\nCough.\nCOMPARISON:\nNone.\nFINDINGS:\nLungs are clear.\nIMPRESSION:\nNormal.",
    "dash": "Indication - Cough.\nComparison - None.\nFindings \u2013 Lungs are clear.\nImpression \u2014 Normal.",
    "one line, upper": "INDICATION: Cough. COMPARISON: None. FINDINGS: Lungs are clear. IMPRESSION: Normal.",
    "one line, title": "Indication: Cough. Comparison: None. Findings: Lungs are clear. Impression: Normal.",
    "windows": "INDICATION: Cough.\r\nCOMPARISON: None.\r\nFINDINGS: Lungs are clear.\r\nIMPRESSION: Normal.",
    "markdown": "**Indication:** Cough.\n**Comparison:** None.\n## Findings\nLungs are clear.\n## Impression\nNormal.",
}


@pytest.mark.parametrize("report", STYLES.values(), ids=STYLES.keys())
def test_every_style_gives_the_same_sections(report: str) -> None:
    assert parse_sections(report) == {
        "indication": "Cough.",
        "comparison": "None.",
        "findings": "Lungs are clear.",
        "impression": "Normal.",
    }


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("REASON FOR EXAM", "indication"),
        ("Reason for this examination", "indication"),
        ("CLINICAL INFORMATION", "indication"),
        ("Clinical History", "history"),
        ("EXAMINATION", "technique"),
        ("PROCEDURE", "technique"),
        ("PRIOR STUDIES", "comparison"),
        ("FINDINGS AND IMPRESSION", "findings"),
        ("Findings/Impression", "findings"),
        ("CONCLUSION", "impression"),
        ("ADDENDUM", "impression"),
    ],
)
def test_headings(heading: str, section: str) -> None:
    assert parse_sections(f"{heading}: some text") == {section: "some text"}


def test_no_heading_is_findings() -> None:
    text = "The lungs are clear. No effusion. Impression of a normal chest."
    assert parse_sections(text) == {"findings": text}


def test_words_of_a_sentence_are_not_headings() -> None:
    text = "FINDINGS: The findings: stable. No history of trauma. On both views, clear."
    assert parse_sections(text) == {"findings": text.removeprefix("FINDINGS: ")}


def test_numbered_impression_keeps_its_items_and_unknown_headings() -> None:
    report = "IMPRESSION:\n1. Left effusion.\n2. Edema.\nRECOMMENDATION: Follow up."
    assert parse_sections(report) == {"impression": "1. Left effusion.\n2. Edema.\nRECOMMENDATION: Follow up."}


def test_final_report_banner() -> None:
    assert parse_sections("FINAL REPORT\nThe lungs are clear.\nIMPRESSION: Normal.") == {
        "findings": "The lungs are clear.",
        "impression": "Normal.",
    }


def test_text_before_the_first_heading() -> None:
    prose = parse_sections("Both lungs are clear.\n\nIMPRESSION: Normal.")
    banner = parse_sections("CHEST TWO VIEWS 3\n\nIMPRESSION: Normal.")
    assert prose == {"findings": "Both lungs are clear.", "impression": "Normal."}
    assert banner == {"technique": "CHEST TWO VIEWS 3", "impression": "Normal."}


def test_wet_read_is_an_earlier_reading_unless_it_is_the_only_one() -> None:
    wet = "WET READ: No pneumothorax.\n"
    assert parse_sections(wet + "FINDINGS: Clear.") == {"comparison": "No pneumothorax.", "findings": "Clear."}
    assert parse_sections(wet) == {"findings": "No pneumothorax."}


def test_a_section_that_stands_twice_is_joined() -> None:
    assert parse_sections("FINDINGS: a.\nIMPRESSION: b.\nFINDINGS: c.")["findings"] == "a.\nc."


@pytest.mark.parametrize("report", ["", " \n", "FINDINGS:\n\nIMPRESSION:"])
def test_nothing_said_is_no_section(report: str) -> None:
    assert parse_sections(report) == {}


@given(
    st.lists(st.sampled_from(["FINDINGS: ", "Impression:\n", "wet read: ", "cough. ", "no\n", "A - ", "\n\n", "1. "]))
)
def test_no_word_is_lost_but_headings(pieces: list[str]) -> None:
    report = "".join(pieces)
    sections = parse_sections(report)
    assert set(sections) <= set(SECTIONS)
    kept = re.findall(r"cough|\bno\b|1|\bA\b", " ".join(sections.values()))
    assert sorted(kept) == sorted(re.findall(r"cough|\bno\b|1|\bA\b", report))


@given(st.text())
def test_any_text_is_read(report: str) -> None:
    assert all(text == text.strip() and text for text in parse_sections(report).values())
