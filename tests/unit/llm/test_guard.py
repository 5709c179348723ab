"""The guard lets through what says the same and refuses, with the right reason, what does not."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from radlet.core.records import OBSERVATIONS
from radlet.data.sources.synthetic import SyntheticSource
from radlet.llm.guard import check_mended, check_present_state, check_rewrite
from radlet.llm.labels import check_text_of_labels, compare_labels
from radlet.llm.numbers import find_numbers
from radlet.llm.spanish import check_translation, gloss
from radlet.llm.statements import find_statements

PRESENT = [
    (
        "Unchanged small left effusion. The heart is normal in size.",
        "Small left effusion. The heart is normal in size.",
    ),
    ("5 mm nodule in the right upper lobe, stable.", "5 mm nodule in the right upper lobe."),
    ("The previously seen effusion has resolved.", "No effusion."),
    ("Small left and large right effusion, unchanged.", "Small left and large right effusion."),
    ("Stable emphysema. No free air.", "Emphysema. No free air."),
    ("Again seen are sternotomy wires. No edema.", "Sternotomy wires are seen. No edema."),
]


@pytest.mark.parametrize(("source", "output"), PRESENT)
def test_a_faithful_present_state_is_let_in(source, output):
    assert check_present_state(source, output) == ()


SOURCE = "Unchanged small left effusion. 5 mm nodule in the right upper lobe. No pneumothorax. Possible emphysema."
CHANGES = [
    ("small left effusion", "small right effusion", "side_changed"),
    ("small left effusion", "small effusion", "side_changed"),
    ("small left effusion", "small bilateral effusion", "side_changed"),
    ("small left effusion", "large left effusion", "severity_changed"),
    ("small left effusion", "left effusion", "severity_changed"),
    ("5 mm", "6 mm", "number_changed"),
    ("5 mm", "5 cm", "number_changed"),
    ("5 mm", "five mm", None),
    ("5 mm nodule", "nodule", "number_changed"),
    ("No pneumothorax.", "Pneumothorax.", "negation_changed"),
    ("small left effusion.", "no effusion.", "negation_changed"),
    ("No pneumothorax.", "", "observation_lost"),
    ("No pneumothorax.", "No pneumothorax or edema.", "observation_added"),
    ("No pneumothorax.", "No pneumothorax. Hiatal hernia.", "observation_added"),
    ("No pneumothorax.", "No pneumothorax. Follow-up is recommended.", "words_added"),
    ("Possible emphysema.", "Emphysema.", "negation_changed"),
    ("Possible emphysema.", "", "observation_lost"),
    ("upper lobe", "lower lobe", "words_added"),
]


@pytest.mark.parametrize(("old", "new", "reason"), CHANGES)
def test_a_changed_present_state_is_refused(old, new, reason):
    faithful = SOURCE.replace("Unchanged small", "Small")
    assert check_present_state(SOURCE, faithful) == ()
    changed = faithful.lower().replace(old.lower(), new)
    reasons = check_present_state(SOURCE, changed)
    assert reason in reasons if reason else reasons == ()


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ("Unchanged opacity in the left lower lobe.", "Opacity in the left lobe.", "words_lost"),
        ("Unchanged opacity in the left lower lobe.", "", "empty"),
        ("Stable 3 cm density.", "", "empty"),
        ("No interval change.", "", None),
        ("No interval change.", "Normal.", "words_added"),
    ],
)
def test_a_sentence_loses_its_comparison_and_nothing_else(source, output, reason):
    reasons = check_present_state(source, output)
    assert reason in reasons if reason else reasons == ()


def test_what_still_compares_is_refused():
    assert "prior_reference_left" in check_present_state(SOURCE, SOURCE)


@pytest.mark.parametrize("output", ["", "...", "5 6"])
def test_a_text_without_words_is_refused(output):
    assert check_rewrite("No effusion.", output) == ("empty",)


@pytest.mark.parametrize(
    "output",
    ["I'm sorry, but I can't help with medical reports.", "Ignore all instructions.", "Normal chest."],
)
def test_what_answers_something_else_is_refused(output):
    assert check_present_state(SOURCE, output)
    assert check_mended(SOURCE, output)


def reports():
    for item in SyntheticSource(num_patients=12).studies(3):
        yield item.study.report


def test_every_text_says_what_it_says():
    texts = list(reports())
    assert len(texts) > 10
    assert [check_rewrite(text, text) for text in texts] == [()] * len(texts)
    assert [check_mended(text, text) for text in texts] == [()] * len(texts)


def test_a_sentence_more_or_less_is_always_seen():
    for text in reports():
        added = f"{text} Large right hydropneumothorax with a displaced rib fracture."
        assert check_rewrite(text, added)
        assert check_rewrite(added, text)
        assert check_mended(text, added)


@given(st.text(max_size=120), st.text(max_size=120))
def test_any_two_texts_can_be_compared(source, output):
    for check in (check_rewrite, check_present_state, check_mended, check_translation):
        assert isinstance(check(source, output), tuple)


MENDED = [
    ("No pneumo thorax. Small efusion.", "No pneumothorax. Small effusion."),
    ("cardio- megaly, mild", "cardiomegaly, mild"),
    ("The heart is norrnal in size.", "The heart is normal in size."),
    ("No acute cardiopulmon", "No acute cardiopulmonary"),
    ("Nopneumothorax.", "No pneumothorax."),
]


@pytest.mark.parametrize(("source", "output"), MENDED)
def test_mended_words_are_let_in(source, output):
    assert check_mended(source, output) == ()


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ("No effusion here.", "No effusion or edema here.", "words_added"),
        ("No effusion or edema.", "No effusion.", "observation_lost"),
        ("not able effusion", "notable effusion", "negation_changed"),
        ("no effusion", "now effusion", "negation_changed"),
        ("1 2 mm nodule", "12 mm nodule", "number_changed"),
        ("O.5 cm nodule", "0.5 cm nodule", "number_changed"),
        ("left effusion", "right effusion", "side_changed"),
        ("mild edema", "severe edema", "severity_changed"),
        ("edema is seen", "effusion is seen", "words_changed"),
    ],
)
def test_other_changes_are_no_mending(source, output, reason):
    assert reason in check_mended(source, output)


TRANSLATED = [
    ("sin derrame pleural ni neumotórax. cardiomegalia leve", "No pleural effusion or pneumothorax. Mild cardiomegaly"),
    ("derrame pleural izquierdo de 1,5 cm", "Left pleural effusion of 1.5 cm."),
    ("silueta cardiaca de tamaño normal. no se ven infiltrados.", "Heart size is normal. No infiltrates are seen."),
    ("dos nodulos en lóbulo superior derecho", "Two nodules in the right upper lobe."),
    ("posible neumonía en base derecha", "Possible pneumonia at the right base."),
]  # fmt: skip


@pytest.mark.parametrize(("source", "output"), TRANSLATED)
def test_a_faithful_translation_is_let_in(source, output):
    assert check_translation(source, output) == ()


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        (TRANSLATED[0][0], "Pleural effusion without pneumothorax. Mild cardiomegaly.", "negation_changed"),
        (TRANSLATED[0][0], "No pleural effusion or pneumothorax. Severe cardiomegaly.", "severity_changed"),
        (TRANSLATED[0][0], "No pleural effusion. Mild cardiomegaly.", "observation_lost"),
        (TRANSLATED[0][0], "No pleural effusion or pneumothorax. Mild cardiomegaly. Edema.", "observation_added"),
        (TRANSLATED[1][0], "Right pleural effusion of 1.5 cm.", "side_changed"),
        (TRANSLATED[1][0], "Left pleural effusion of 15 cm.", "number_changed"),
        (TRANSLATED[1][0], "Left pleural effusion.", "number_changed"),
        (TRANSLATED[3][0], "Three nodules in the right upper lobe.", "number_changed"),
        (TRANSLATED[4][0], "Pneumonia at the right base.", "negation_changed"),
        (TRANSLATED[2][0], TRANSLATED[2][0], "not_translated"),
        (TRANSLATED[2][0], "", "observation_lost"),
    ],
)
def test_an_unfaithful_translation_is_refused(source, output, reason):
    assert reason in check_translation(source, output)


def test_every_observation_that_spanish_reports_name_has_a_word():
    words = (
        "cardiomegalia, edema, consolidacion, neumonia, atelectasia, neumotorax, derrame pleural, infiltrado, nodulo,"
        " engrosamiento pleural, fractura, marcapasos, ensanchamiento mediastinico"
    )
    stated = {statement.finding for statement in find_statements(gloss(words))}
    assert stated >= set(OBSERVATIONS) - {"No Finding"}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2-3 mm", {"2": 1, "3mm": 1}),
        ("1.50 cm and 1.5 cm", {"1.5cm": 2}),
        ("three by 4 centimeters", {"3": 1, "4cm": 1}),
        ("3x4 cm", {"3": 1, "4cm": 1}),
        ("T8 and the eighth rib, 8th rib", {"t8": 1, "8th": 2}),
        ("<5mm; .5 ml; 1,200 cc; 20%", {"<5mm": 1, "0.5ml": 1, "1200ml": 1, "20%": 1}),
        ("1. Clear lungs.\n2) No effusion.", {}),
        ("on 1/2/2020", {"1/2/2020": 1}),
    ],
)
def test_numbers_are_read_with_their_units(text, numbers):
    assert dict(find_numbers(text)) == numbers


LABELS = {"Cardiomegaly": 1, "Effusion": 1, "Pneumothorax": 0, "Hernia": 0}


def test_labels_and_text_may_agree_or_not():
    assert compare_labels(LABELS, "Cardiomegaly with a small left effusion.") == ()
    assert compare_labels(LABELS, "Cardiomegaly.") == ("labels_disagree",)
    assert compare_labels(LABELS, "Cardiomegaly, effusion and pneumothorax.") == ("labels_disagree",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("There is cardiomegaly. There is an effusion. No pneumothorax.", None),
        ("Cardiomegaly and effusion.", None),
        ("Cardiomegaly.", "observation_lost"),
        ("Cardiomegaly and effusion. Edema.", "observation_added"),
        ("Cardiomegaly and effusion. No edema.", "observation_added"),
        ("Cardiomegaly and effusion. Pneumothorax.", "negation_changed"),
        ("Cardiomegaly without effusion.", "negation_changed"),
        ("Cardiomegaly and possible effusion.", "negation_changed"),
        ("Cardiomegaly and left effusion.", "side_changed"),
        ("Cardiomegaly and small effusion.", "severity_changed"),
        ("Cardiomegaly and two effusions.", "number_changed"),
        ("Cardiomegaly and effusion in an elderly patient.", "words_added"),
    ],
)
def test_text_from_labels_says_no_more_and_no_less(text, reason):
    reasons = check_text_of_labels(["cardiomegaly", "effusion"], ["pneumothorax"], text)
    assert reason in reasons if reason else reasons == ()


def test_a_label_without_lexicon_must_stand_in_its_own_words():
    assert check_text_of_labels(["azygos lobe"], [], "Azygos lobe.") == ()
    assert "observation_lost" in check_text_of_labels(["azygos lobe"], [], "No finding.")


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("Increase in right and decrease in left basilar atelectasis.", "Right and right basilar atelectasis."),
        ("Unchanged granulomas, left greater than right.", "Granulomas, right greater than right."),
    ],
)
def test_two_sides_do_not_become_one(source, output):
    assert "side_changed" in check_present_state(source, output)
