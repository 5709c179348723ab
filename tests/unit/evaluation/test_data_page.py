from html.parser import HTMLParser

import pytest

from radlet.core.records import OBSERVATIONS
from radlet.data.card import (
    CopiesOverSplits,
    DataCard,
    Flow,
    LabelCount,
    Leakage,
    Lengths,
    PriorReferences,
    SectionCount,
    SourceNote,
)
from radlet.evaluation.data_page import render_data_card


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.open, self.unclosed = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, text):
        if self.open and self.open[-1] != "style" and text.strip():
            self.texts.append(text.strip())


@pytest.fixture
def make_card():
    def make(**values):
        states = {name: {"POSITIVE": 1, "UNMENTIONED": 3} for name in OBSERVATIONS}
        given = {
            "name": "ward",
            "section": "findings",
            "source": SourceNote(kind="open_i", terms="CC <b>by</b>", pseudonymised=True),
            "flow": Flow(
                refused=10, refused_by_reason={"the film is blank": 10}, films=1234,
                items_without_any_film=2, studies=5, without_target={"no report": {"test": 1}},
            ),
            "splits": {
                "train": {"patients": 2, "studies": 3, "films": 1233, "targets": 3},
                "dev": {"patients": 0, "studies": 0, "films": 0, "targets": 0},
                "test": {"patients": 2, "studies": 2, "films": 1, "targets": 1},
            },
            "sections": {"findings": SectionCount(studies=4, words_median=9)},
            "observations": {"train": states},
            "labels": {"Mass": {"train": LabelCount(known=8, present=2)}},
            "views": {"PA": {"train": 1234}},
            "report_words": Lengths(texts=4, median=3, p95=9, longest=11, bin_words=1, bins=(0, 0, 0, 3, 0, 0, 1)),
            "indication_words": None,
            "prior_references": PriorReferences(texts=4, rate_before=0.25, rate_after=0.0, kept=3),
            "leakage": Leakage(patients=4, studies=5, films=1234),
            "hashes": {"build": "abc123"},
            "config": {"labels": "both", "shares": {"train": 0.8}},
            "radlet": "9.9",
        }  # fmt: skip
        return DataCard(**given | values)

    return make


def test_the_page_tells_the_card_and_asks_nothing_from_outside(make_card):
    page = Page(html := render_data_card(make_card()))
    assert page.unclosed == []
    assert page.open == []
    assert "http" not in html
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name in ("src", "href")]
    for text in ("ward", "1,234", "the film is blank", "no report", "abc123", "Mass", "radlet 9.9", "25.0 %"):
        assert any(text in shown for shown in page.texts), text
    assert "CC &lt;b&gt;by&lt;/b&gt;" in html
    assert len([tag for tag, attributes in page.tags if attributes.get("class") == "node lost"]) == 3
    assert render_data_card(make_card()) == html


def test_an_empty_split_is_left_out(make_card):
    page = Page(render_data_card(make_card()))
    assert "train" in page.texts
    assert "dev" not in page.texts


def test_a_set_of_one_split_without_texts_and_labels_has_a_page(make_card):
    numbers = {"patients": 1, "studies": 1, "films": 1, "targets": 0}
    flow = Flow(
        refused=0, refused_by_reason={}, films=1, items_without_any_film=0, studies=1,
        without_target={"no report": {"train": 1}},
    )  # fmt: skip
    card = make_card(
        splits={"train": numbers, "dev": dict.fromkeys(numbers, 0), "test": dict.fromkeys(numbers, 0)},
        flow=flow, labels={}, observations={}, report_words=None, sections={},
        source=SourceNote(kind=None, terms=None, pseudonymised=False),
        leakage=Leakage(patients=1, studies=1, films=1),
    )  # fmt: skip
    page = Page(render_data_card(card))
    assert page.unclosed == []
    assert "Ingest refused nothing." in page.texts
    assert "The examples hold no labels." in page.texts
    assert "Observations" not in page.texts
    assert "Lengths" not in page.texts
    assert any("states none" in text for text in page.texts)


def test_many_long_reasons_stand_together_in_the_picture_and_whole_in_the_table(make_card):
    reasons = {f"reason {number} {'that is told at great length ' * 4}": 20 - number for number in range(12)}
    flow = make_card().flow.model_copy(update={"refused": sum(reasons.values()), "refused_by_reason": reasons})
    page = Page(render_data_card(make_card(flow=flow)))
    assert "6 other reasons" in page.texts
    assert len([text for text in page.texts if text.endswith("…")]) == 6
    assert all(reason.strip() in page.texts for reason in reasons)


def test_questions_and_references_to_earlier_exams_are_shown(make_card):
    card = make_card(section="answer", questions={"": {"open": 1}, "PRES": {"closed": 4321, "open": 2}})
    page = Page(render_data_card(card))
    assert page.unclosed == []
    for text in ("PRES", "4,321", "no topic", "questions"):
        assert text in page.texts
    assert any("25.0 % refer to an earlier exam as they came and 0.0 %" in text for text in page.texts)
    assert any("3 such sentences were left as they are" in text for text in page.texts)
    # A study has several questions, so studies are no stage of their flow.
    assert "studies kept" not in page.texts
    without = Page(render_data_card(make_card(prior_references=PriorReferences(
        texts=0, rate_before=None, rate_after=None, kept=0
    ))))  # fmt: skip
    assert not any("earlier exam" in text for text in without.texts)
    assert "Questions" not in without.texts
    assert "studies kept" in without.texts


def test_the_page_tells_whether_copies_were_looked_for_and_which_stand_in_two_splits(make_card):
    assert "without a quality run" in render_data_card(make_card())
    copies = {
        "duplicate_images": CopiesOverSplits(groups=0, pairs=0),
        "duplicate_texts": CopiesOverSplits(groups=2, pairs=1234),
    }
    page = Page(render_data_card(make_card(leakage=Leakage(patients=4, studies=5, films=1234, copies=copies))))
    assert not page.unclosed
    assert "No pair of duplicate images stands in two splits" in page.texts
    assert "Pairs of duplicate texts that stand in two splits: 1,234, groups: 2" in page.texts
    assert [attributes["class"] for tag, attributes in page.tags if attributes.get("class") in ("pass", "warn")] == [
        "pass",
        "pass",
        "warn",
    ]
