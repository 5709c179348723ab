import pytest
from hypothesis import given
from hypothesis import strategies as st

from radlet.data.observations import find_mentions, label_report
from radlet.data.priors import PriorTally, find_prior_references, leave_prior_references, remove_prior_references
from radlet.data.sources.synthetic.source import SyntheticSource


def kinds(text):
    return [reference.kind for reference in find_prior_references(text)]


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Small left effusion is unchanged.", "unchanged"),
        ("No significant interval change.", "unchanged"),
        ("Worsening edema.", "changed"),
        ("The effusion has decreased.", "changed"),
        ("New left apical pneumothorax.", "new"),
        ("The edema has resolved.", "resolved"),
        ("A hiatal hernia is again seen.", "seen_before"),
        ("Redemonstration of a granuloma.", "seen_before"),
        ("Right hemidiaphragm remains elevated.", "seen_before"),
        ("No prior study is available.", "prior_exam"),
        ("Nodule as on the radiograph from 12 days earlier.", "prior_exam"),
        ("Better seen on the CT from 3/4/2010 than on the previous exam.", "prior_exam"),
    ],
)
def test_references_are_found_with_their_kind(sentence, kind):
    assert kind in kinds(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Changes of prior sternotomy.",
        "Previous granulomatous disease.",
        "Degenerative changes of the spine.",
        "Increased interstitial markings without effusion.",
        "The remaining lungs are clear.",
        "Recommend follow-up to document stability.",
        "No acute changes.",
        "Left effusion is larger on the left than on the right.",
    ],
)
def test_look_alikes_are_no_references(sentence):
    assert kinds(sentence) == []


def test_a_reference_tells_its_place():
    text = "Clear lungs. Stable cardiomegaly."
    (reference,) = find_prior_references(text)
    assert text[reference.start : reference.end] == "Stable"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Unchanged small left effusion.", "Small left effusion."),
        ("No interval change.", ""),
        ("Clear lungs. The mediastinal contours are stable. No effusion.", "Clear lungs. No effusion."),
        ("The previously seen pleural effusion has resolved.", "No pleural effusion."),
        ("Pulmonary edema is no longer present.", "No pulmonary edema."),
        ("There is no residual pneumothorax.", "There is no pneumothorax."),
        ("An unchanged right pacemaker is seen.", "A right pacemaker is seen."),
        ("There is a new upper lobe nodule.", "There is an upper lobe nodule."),
        ("A large right pneumothorax has improved since the prior study.", "A large right pneumothorax is present."),
        (
            "Compared to the prior study dated 3/4/2010, the left effusion has increased.",
            "The left effusion is present.",
        ),
        ("In the interval, a 2 cm nodule has developed.", "A 2 cm nodule is seen."),
        ("Again seen is a left basilar opacity.", "There is a left basilar opacity."),
        ("Cardiomediastinal silhouette is normal and unchanged.", "Cardiomediastinal silhouette is normal."),
        ("Heart size remains normal.", "Heart size is normal."),
        ("No new consolidation.", "No consolidation."),
        ("Improvement in left basilar atelectasis.", "Left basilar atelectasis."),
    ],
)
def test_texts_become_the_present_state(before, after):
    assert remove_prior_references(before).text == after


def test_what_the_guard_refuses_stays_and_is_counted():
    rewrite = remove_prior_references("No significant change in right pneumothorax or pleural fluid. Stable edema.")
    assert rewrite.text == "No significant change in right pneumothorax or pleural fluid. Edema."
    assert rewrite.outcomes == ("kept", "rewritten")


def test_a_present_number_is_never_lost():
    text = "This is unchanged at 31 mm."
    assert remove_prior_references(text).text == text


def test_the_tally_counts_texts_and_sentences():
    tally = PriorTally()
    for text in ("Stable edema. No interval change. Clear.", "Clear lungs.", "No interval change."):
        tally.add(text, remove_prior_references(text))
    assert tally.summary() == {
        "rate_before": 0.6667, "rate_after": 0.0, "texts": 3, "sentences": 5, "sentences_referring": 3,
        "rewritten": 1, "dropped": 2, "kept": 0, "emptied": 1,
    }  # fmt: skip
    left = PriorTally()
    left.add("Stable edema.", leave_prior_references("Stable edema."))
    assert (left.summary()["rate_after"], left.summary()["kept"]) == (1.0, 1)
    assert PriorTally().summary()["rate_before"] is None


FINDINGS = ("left pleural effusion", "5 mm right nodule", "edema", "cardiomegaly", "heart size", "opacity or edema")
SENTENCES = st.builds(
    lambda frame, finding: frame.format(finding),
    st.sampled_from(
        [
            "Unchanged {}.", "Stable {}, as before.", "New {} compared to the prior exam.", "No change in {}.",
            "The {} has resolved.", "There is no residual {}.", "Again seen is {}.", "{} since 2009.", "No {}.",
            "Interval improvement of the {}.", "1. {}, not seen on the previous study.", "Possible {}.",
            "{} has increased since the prior study from 12 days ago.", "Persistent {} without interval change.",
        ]
    ),
    st.sampled_from(FINDINGS),
)  # fmt: skip
WORDS = st.sampled_from(
    (
        *("no", "new", "stable", "left", "right", "effusion", "edema", "again", "seen", "is", "has", "the", "prior"),
        *("study", "unchanged", "interval", "change", "resolved", "and", "or", ",", ".", "in", "of", "3"),
    )
)
TEXTS = st.one_of(st.lists(SENTENCES, max_size=5).map(" ".join), st.lists(WORDS, max_size=25).map(" ".join), st.text())


@given(TEXTS)
def test_rewriting_keeps_observations_and_sides_and_is_idempotent(text):
    rewrite = remove_prior_references(text)
    assert label_report(rewrite.text) == label_report(text)
    assert _sides(rewrite.text) == _sides(text)
    assert remove_prior_references(rewrite.text).text == rewrite.text
    assert len(find_prior_references(rewrite.text)) <= len(find_prior_references(text))


def _sides(text):
    return {(mention.observation, mention.state, mention.side) for mention in find_mentions(text)}


def test_synthetic_sentences_are_found_and_rewritten_as_the_grammar_meant_them():
    reports = [report for _, report in SyntheticSource(num_patients=150, comparison_share=1).reports(3)]
    sentences = [sentence for report in reports for sentence in report.sentences]
    truth = [sentence.compares for sentence in sentences]
    found = [bool(find_prior_references(sentence.text)) for sentence in sentences]
    hits = sum(map(min, truth, found))
    assert sum(truth) > 50
    assert hits / sum(truth) >= 0.95
    assert hits / sum(found) >= 0.95
    rewritten = [remove_prior_references(report.section("findings")) for report in reports]
    assert not any(find_prior_references(rewrite.text) for rewrite in rewritten)


def test_text_without_stops_is_left_as_it_is():
    rewrite = remove_prior_references("stable edema " * 2000)
    assert (rewrite.text, rewrite.outcomes) == ("stable edema " * 2000, ("kept",))
