from collections import Counter
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from radlet.core.records import Example, ImageRecord, Question, State, Study
from radlet.data.card import CardCounts, SectionCount, SourceNote, lengths, quantile
from radlet.data.examples import shares

ABOUT = {
    "name": "ward",
    "section": "findings",
    "source": SourceNote(kind="folder", terms=None, pseudonymised=False),
    "config": {},
    "radlet": "1",
}
FILM = ImageRecord(image_id="i", path="i.png")
WORDS = st.dictionaries(st.integers(1, 3000), st.integers(1, 50), min_size=1).map(Counter)


def make_summary(**train):
    row = {"patients": 1, "studies": 1, "films": 1, "targets": 1, "target_words_mean": None}
    priors = {"texts": 2, "rate_before": 0.5, "rate_after": 0.0, "kept": 0, "rewritten": 1}
    splits = {"train": row | train, "dev": dict.fromkeys(row, 0), "test": dict.fromkeys(row, 0)}
    return {"splits": splits, "prior_references": priors}


def make_example(**values):
    ids = {"example_id": "s", "study_id": "s", "patient_id": "p", "split": "train"}
    return Example(**ids | {"image_paths": ("i.png",), "views": ("PA",)} | values)


def make_card(pairs, ingested=None, **summary):
    counts = CardCounts()
    for _, own in groupby(pairs, key=lambda pair: pair[0].study_id):
        group = list(own)
        for (study, _, reason), (example, share) in zip(group, shares(row[1] for row in group), strict=True):
            counts.add(study, example, share, reason)
    return counts.card(make_summary(**summary), ingested or {}, ABOUT, {})


def test_sections_states_labels_views_and_reasons_are_counted():
    free = Study(study_id="s", patient_id="p", images=(FILM,), report="FINDINGS: Clear lungs.\nIMPRESSION: Normal.")
    cut = Study(
        study_id="t", patient_id="p", images=(FILM,), sections={"findings": "One two three four.", "history": " "}
    )
    states = {"Edema": State.UNCERTAIN, "Pneumothorax": State.NEGATIVE}
    card = make_card(
        [
            (free, make_example(labels={"Mass": 1}, observations=states, report="a b c"), None),
            (
                cut,
                make_example(study_id="t", labels={"Mass": 0}, views=(None,), split="test", indication="cough"),
                "no findings",
            ),
        ],
        {"rejected": 3, "rejected_by_reason": {"blank": 3}, "items_without_any_film": 2},
    )
    assert card.sections["findings"] == SectionCount(studies=2, words_median=2)
    assert card.sections["impression"].studies == 1
    assert card.sections["history"].studies == 0
    assert card.observations["train"]["Edema"] == {"UNCERTAIN": 1}
    assert card.observations["train"]["Pneumothorax"] == {"NEGATIVE": 1}
    assert "test" not in card.observations
    assert {split: (one.known, one.present) for split, one in card.labels["Mass"].items()} == {
        "train": (1, 1), "test": (1, 0),
    }  # fmt: skip
    assert card.views == {"PA": {"train": 1}, "unknown": {"test": 1}}
    assert card.flow.without_target == {"no findings": {"test": 1}}
    assert (card.flow.refused, card.flow.items_without_any_film) == (3, 2)
    assert card.report_words is not None
    assert card.report_words.median == 3
    assert card.indication_words is not None
    assert card.indication_words.texts == 1


def test_what_a_study_has_is_counted_once_however_many_examples_it_makes():
    asked = tuple(Question(question="?", answer="a", kind=kind, topic=topic) for kind, topic in
                  (("open", None), ("closed", "PRES"), ("closed", "PRES")))  # fmt: skip
    study = Study(study_id="s", patient_id="p", images=(FILM,), questions=asked, caption="One two.")
    examples = [make_example(example_id=f"s.q{n}", labels={"Mass": 1}, report="One two.") for n in range(3)]
    card = make_card([(study, example, None) for example in examples])
    assert card.views == {"PA": {"train": 1}}
    assert card.labels["Mass"]["train"].known == 1
    assert card.report_words is not None
    assert card.report_words.texts == 1
    assert card.sections["caption"] == SectionCount(studies=1, words_median=2)
    assert card.questions == {"": {"open": 1}, "PRES": {"closed": 2}}
    assert card.prior_references.rate_before == 0.5


def test_a_set_of_films_alone_has_a_card():
    study = Study(study_id="s", patient_id="p", images=(FILM,))
    card = make_card([(study, make_example(), "no report")], targets=0)
    assert card.report_words is None
    assert card.indication_words is None
    assert card.labels == {}
    assert card.observations == {}


@given(WORDS)
def test_every_text_is_in_one_bin_and_the_marks_are_lengths_that_occur(words):
    found = lengths(words)
    assert found is not None
    assert sum(found.bins) == found.texts == words.total()
    assert len(found.bins) <= 24
    assert {found.median, found.p95, found.longest} <= set(words)
    assert found.median <= found.p95 <= found.longest


@given(WORDS, st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_length_that_the_share_does_not_exceed(words, share):
    value = quantile(words, share)
    assert sum(count for length, count in words.items() if length <= value) >= share * words.total()
    assert sum(count for length, count in words.items() if length < value) < share * words.total()
