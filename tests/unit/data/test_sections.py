"""Sections of reports in the forms that institutions write them."""

import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import SECTIONS
from radlet.data.sections import find_spans, parse_sections

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
    "brackets": "[INDICATION] Cough.\n[COMPARISON] None.\n[FINDINGS] Lungs are clear.\n[IMPRESSION] Normal.",
    "numbered": "1. INDICATION: Cough.\n2. COMPARISON: None.\n3. FINDINGS: Lungs are clear.\n4. IMPRESSION: Normal.",
    "stops": "INDICATION. Cough.\nCOMPARISON. None.\nFINDINGS. Lungs are clear.\nIMPRESSION. Normal.",
    "no marks": "INDICATION Cough.\nCOMPARISON None.\nFINDINGS Lungs are clear.\nIMPRESSION Normal.",
    "one line, no marks": "INDICATION Cough. COMPARISON None. FINDINGS Lungs are clear. IMPRESSION Normal.",
    "one line, lower": "indication: Cough. comparison: None. findings: Lungs are clear. impression: Normal.",
    "old line ends": "INDICATION: Cough.\rCOMPARISON: None.\rFINDINGS: Lungs are clear.\rIMPRESSION: Normal.",
    "notes": "INDICATION: Cough.\nCOMPARISON: None.\nFINDINGS (two views): Lungs are clear.\nIMPRESSION: Normal.",
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
        ("FINAL ADDENDUM", "impression"),
        ("Impression and recommendations", "impression"),
        ("INDICATION/COMPARISON", "indication"),
        ("History and Indication", "history"),
        ("Comparison, Findings & Impression", "findings"),
        ("ADDITIONAL FINDINGS", "findings"),
        ("INTERPRETATION", "findings"),
        ("PREVIOUS FILMS", "comparison"),
        ("EXAM TYPE", "technique"),
    ],
)
def test_headings(heading: str, section: str) -> None:
    assert parse_sections(f"{heading}: some text") == {section: "some text"}


def test_no_heading_is_findings() -> None:
    text = "The lungs are clear. No effusion. Impression of a normal chest."
    assert parse_sections(text) == {"findings": text}


def test_words_of_a_sentence_are_not_headings() -> None:
    text = "FINDINGS: The findings: stable. No history of trauma. On both views, clear. My Impression: none."
    assert parse_sections(text) == {"findings": text.removeprefix("FINDINGS: ")}


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION: SHORT OF BREATH HISTORY OF COPD",
        "INDICATION: ABNORMAL STUDY YESTERDAY",
        "INDICATION: FINDINGS OF Pneumonia elsewhere",
        "INDICATION: known\nhistory\nof cough",
        "INDICATION: as in\n- report of yesterday",
    ],
)
def test_capitals_and_line_ends_alone_make_no_heading(text: str) -> None:
    assert parse_sections(text) == {"indication": text.removeprefix("INDICATION: ")}


def test_headings_in_small_letters_are_told_from_words() -> None:
    text = "indication: positive test comparison: none findings: the findings: stable impression: normal"
    assert parse_sections(text) == {
        "indication": "positive test",
        "comparison": "none",
        "findings": "the findings: stable",
        "impression": "normal",
    }


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
    assert parse_sections("Wet read version #2: Edema.\nFINAL REPORT\nIMPRESSION: Clear.") == {
        "comparison": "Edema.",
        "impression": "Clear.",
    }


def test_addendum_follows_the_impression_it_amends() -> None:
    report = "FINDINGS: Clear.\nIMPRESSION:\n1. Normal.\n2. No edema.\nADDENDUM: Seen again."
    assert parse_sections(report)["impression"] == "1. Normal.\n2. No edema.\nSeen again."


@pytest.mark.parametrize("title", ["CHEST, TWO VIEWS", "LATERAL VIEWS OF THE CHEST", "PORTABLE CHEST", "CHEST (AP)"])
def test_name_of_an_exam_heads_what_follows(title: str) -> None:
    read = f"HISTORY: Cough.\n {title}: The lungs are clear.\nIMPRESSION: Normal."
    assert parse_sections(read) == {"history": "Cough.", "findings": "The lungs are clear.", "impression": "Normal."}
    named = f"HISTORY: Cough.\n{title}: today\nFINDINGS: Clear."
    assert parse_sections(named) == {"history": "Cough.", "technique": "today", "findings": "Clear."}


def test_chest_findings_and_lines_that_rule_off_are_no_exam_and_no_text() -> None:
    report = "CHEST FINDINGS: Clear.\n__________\nFINDINGS/\nIMPRESSION: Normal.\nComparison: ___"
    assert parse_sections(report) == {"comparison": "___", "findings": "Clear.\nNormal."}


def test_spans_tell_headings_from_text() -> None:
    report = "Chest, PA\r\nFINDINGS: Clear.\nIMPRESSION:"
    spans = [(span.section, span.kind, report[span.start : span.end]) for span in find_spans(report)]
    assert spans == [
        ("technique", "text", "Chest, PA\r\n"),
        ("findings", "heading", "FINDINGS:"),
        ("findings", "text", " Clear.\n"),
        ("impression", "heading", "IMPRESSION:"),
    ]


def test_a_section_that_stands_twice_is_joined() -> None:
    assert parse_sections("FINDINGS: a.\nIMPRESSION: b.\nFINDINGS: c.")["findings"] == "a.\nc."


@pytest.mark.parametrize("report", ["", " \n", "FINDINGS:\n\nIMPRESSION:"])
def test_nothing_said_is_no_section(report: str) -> None:
    assert parse_sections(report) == {}


@given(
    st.lists(
        st.sampled_from(["FINDINGS: ", "Impression:\n", "wet read: ", "cough. ", "no\n", "A - ", "\n\n", "item 1 "])
    )
)
def test_no_word_is_lost_but_headings(pieces: list[str]) -> None:
    report = "".join(pieces)
    sections = parse_sections(report)
    assert set(sections) <= set(SECTIONS)
    kept = re.findall(r"cough|\bno\b|1|\bA\b", " ".join(sections.values()))
    assert sorted(kept) == sorted(re.findall(r"cough|\bno\b|1|\bA\b", report))


_PIECES = [
    "FINDINGS",
    "Impression",
    "history and indication",
    "wet read",
    "TWO VIEWS OF THE CHEST",
    "(",
    "]",
    ":",
    ". ",
    "- ",
    "\r\n",
    "\r",
    " ",
    "3. ",
]


@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=3)).map("".join))
def test_spans_joined_are_the_report(report: str) -> None:
    spans = find_spans(report)
    assert "".join(report[span.start : span.end] for span in spans) == report
    assert all(span.start < span.end and span.section in SECTIONS for span in spans)
    assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]


@given(st.permutations(["indication", "comparison", "findings", "impression"]), st.data())
def test_what_is_written_under_headings_comes_back(names: list[str], data: st.DataObject) -> None:
    """Whatever the order of the sections and the style of each heading."""
    texts = {
        name: data.draw(st.sampled_from(["Clear.", "Two views", "1. Edema.\n2. None.", "no change"])) for name in names
    }
    styles = ["{0}: {2}", "{1}: {2}", "{0}\n{2}", "{1} - {2}", "**{1}** {2}", "[{0}] {2}"]
    parts = [data.draw(st.sampled_from(styles)).format(name.upper(), name.capitalize(), texts[name]) for name in names]
    assert parse_sections("\n".join(parts)) == texts


@pytest.mark.parametrize(
    "unit",
    ["FINDINGS ", "history and ", "\n", " ", "- ", "(", "findings: ", "is a ", "FINDINGS (", "VIEW:\n", "A CHEST "],
)
def test_long_repetitive_text_is_cut(unit: str) -> None:
    report = unit * (60_000 // len(unit))
    assert sum(span.end - span.start for span in find_spans(report)) == len(report)


@given(st.text())
def test_any_text_is_read(report: str) -> None:
    assert all(text == text.strip() and text for text in parse_sections(report).values())


@pytest.mark.data
def test_real_reports_come_back_from_every_style(shared_data: Path, repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("section_recovery", repository / "bench/sections.py")
    assert spec is not None
    assert spec.loader is not None
    recovery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recovery)
    reports = recovery.load(shared_data)[::20]
    for style in recovery.STYLES:
        found = [recovery.recovered(style, sections) for sections in reports]
        assert sum(right for right, _, _ in found) >= 0.98 * sum(wanted for _, wanted, _ in found), style
