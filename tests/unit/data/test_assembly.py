import pytest
from pydantic import ValidationError

from radlet.core.config import load_config
from radlet.core.errors import ConfigError
from radlet.core.records import Finding, ImageRecord, Question, State, Study
from radlet.data.assembly import SIDED, ExampleSettings, make_example, make_examples, missing_target
from radlet.data.priors import PriorTally

TEXT = "Small left pleural effusion. Possible right pneumothorax. Heart size is normal."


def make_study(**values):
    images = tuple(
        ImageRecord(image_id=f"{n}", path=f"images/{n}.png", view=view)
        for n, view in enumerate(["LATERAL", None, "AP"])
    )
    return Study(**{"study_id": "s", "patient_id": "p", "images": images, **values})


def make(study=None, seed=0, **settings):
    study = study or make_study(sections={"findings": TEXT})
    return make_example(study, ExampleSettings(**settings), seed, "../ingest")


def test_frontals_stand_first_and_paths_start_at_the_build():
    example = make()
    assert example.image_paths == ("../ingest/images/1.png", "../ingest/images/2.png", "../ingest/images/0.png")
    assert example.views == (None, "AP", "LATERAL")


def test_sections_come_from_the_report_unless_given():
    report = "INDICATION: Cough.\nFINDINGS: Clear lungs.\nIMPRESSION: Normal chest."
    example = make(make_study(report=report, sections={"findings": "Small  effusion."}))
    assert (example.target, example.indication) == ("Small effusion.", "Cough.")
    assert example.report == "Small effusion. Normal chest."
    assert make(make_study(report=report), section="impression").target == "Normal chest."


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no report"),
        ({"sections": {"impression": "Normal."}}, "no findings in the report"),
        ({"sections": {"findings": " \n "}}, "findings empty after cleaning"),
        ({"sections": {"findings": "Clear."}}, None),
    ],
)
def test_a_study_without_the_section_is_kept_and_says_why(values, reason):
    study = make_study(**values)
    example = make(study)
    assert missing_target(study, example) == reason
    assert (example.target is None) == (example.observations == {}) == (reason is not None)


def test_labels_follow_the_policy_for_the_uncertain():
    for policy, value in (("positive", 1), ("negative", 0), ("unknown", None)):
        labels = make(uncertain=policy).labels
        assert labels.get("Pneumothorax") == value
        assert (labels["Pleural Effusion"], labels["Cardiomegaly"], labels["Fracture"]) == (1, 0, 0)


def test_sided_labels_have_fixed_names_and_leave_untold_sides_open():
    labels = make(sided_labels=True).labels
    assert (labels["left Pleural Effusion"], labels["right Pleural Effusion"]) == (1, 0)
    assert (labels["left Pneumothorax"], labels["right Pneumothorax"]) == (0, 1)
    assert {name for name in labels if name.startswith("left ")} == {f"left {name}" for name in SIDED}
    untold = make(make_study(sections={"findings": "There is a pleural effusion."}), sided_labels=True).labels
    assert untold["Pleural Effusion"] == 1
    assert "left Pleural Effusion" not in untold
    assert untold["left Fracture"] == 0


def test_the_sources_labels_stay_apart_from_ours():
    study = make_study(sections={"findings": TEXT}, labels={"Pleural Effusion": 0, "Hernia": 1})
    assert make(study, labels="source").labels == {"Pleural Effusion": 0, "Hernia": 1}
    both = make(study, labels="both").labels
    assert (both["Pleural Effusion"], both["source Pleural Effusion"], both["source Hernia"]) == (1, 0, 1)


def test_the_truth_makes_labels_where_it_is_known():
    truth = (Finding(kind="effusion", observation="Pleural Effusion", side="right"),)
    labels = make(make_study(truth=truth), labels="truth", sided_labels=True).labels
    assert (labels["Pleural Effusion"], labels["No Finding"], labels["Edema"]) == (1, 0, 0)
    assert (labels["left Pleural Effusion"], labels["right Pleural Effusion"]) == (0, 1)
    assert make(labels="truth").labels == {}


def test_splits_are_published_carved_or_drawn_by_patient():
    def splits(published, **settings):
        studies = [make_study(patient_id=f"p{n}", split=published) for n in range(400)]
        return [make(study, **settings).split for study in studies]

    assert set(splits("test", validation_share=0.5)) == {"test"}
    assert set(splits("train")) == {"train"}
    carved = splits("train", validation_share=0.1)
    assert 20 <= carved.count("dev") <= 60
    assert carved.count("train") == 400 - carved.count("dev")
    drawn = splits(None, shares={"train": 0.5, "test": 0.5})
    assert set(drawn) == {"train", "test"}
    assert drawn == splits(None, shares={"train": 0.5, "test": 0.5})


def test_shares_must_add_up():
    with pytest.raises(ValidationError, match=r"add up to 0\.9"):
        ExampleSettings(shares={"train": 0.8, "dev": 0.1})


def test_prior_references_go_where_asked_and_are_counted():
    study = make_study(sections={"findings": "Stable edema.", "impression": "No change.", "indication": "New cough."})
    expected = (("keep", "Stable edema.", "Stable edema. No change."), ("remove", "Edema.", "Edema."))
    for policy, target, report in expected:
        tally = PriorTally()
        example = make_example(study, ExampleSettings(prior_references=policy), 0, "../ingest", tally)
        assert (example.target, example.report, example.indication) == (target, report, "New cough.")
        assert (tally.summary()["texts"], tally.summary()["sentences_referring"]) == (2, 2)
    settings = ExampleSettings(prior_references="remove", section="impression")
    assert missing_target(study, make_example(study, settings, 0, "../ingest")) == "impression empty after cleaning"


def answer_all(study):
    return make_examples(study, ExampleSettings(section="answer"), 0, "../ingest")


def test_every_question_is_an_example_with_the_films_it_is_about():
    questions = (
        Question(question="Is  there an effusion?", answer=" Yes. ", kind="closed", topic="PRES"),
        Question(question="Which view is this?", answer="AP", kind="open", image_ids=("2", "0")),
    )
    one, two = answer_all(make_study(questions=questions, labels={"Mass": 1}))
    assert (one.example_id, two.example_id) == ("s.q1", "s.q2")
    assert one.study_id == two.study_id == "s"
    assert (one.question, one.target, one.answer_kind) == ("Is there an effusion?", "Yes.", "closed")
    assert len(one.image_paths) == 3
    assert (two.image_paths, two.views) == (("../ingest/images/2.png", "../ingest/images/0.png"), ("AP", "LATERAL"))
    # "Yes." says nothing without its question.
    assert one.observations == two.observations == {}
    assert one.target_section == two.target_section == "answer"


def test_a_study_without_questions_makes_one_example_without_answer():
    study = make_study(sections={"findings": TEXT})
    [example] = answer_all(study)
    assert (example.target, example.question) == (None, None)
    assert missing_target(study, example) == "no questions"
    # Where findings are learnt, questions change nothing.
    asked = study.model_copy(update={"questions": (Question(question="?", answer="a", kind="open"),)})
    assert make(asked) == make(study)


def test_identifiers_leave_questions_answers_and_captions():
    told = "Name: John Quezalda. MRN: 1234567."
    asked = Question(question=f"{told} Is there an effusion?", answer=f"{told} Small effusion.", kind="open")
    study = make_study(questions=(asked,), caption=f"{told} Small effusion.")
    [answer] = answer_all(study)
    caption = make(study, section="caption")
    assert answer.question is not None
    assert "Is there an effusion?" in answer.question
    for text in (answer.question, answer.target, caption.target, caption.report):
        assert text is not None
        assert "Quezalda" not in text
        assert "1234567" not in text


def test_an_answer_that_is_nothing_but_an_identifier_is_told():
    study = make_study(questions=(Question(question="Who is it?", answer="MRN: 1234567", kind="open"),))
    [example] = answer_all(study)
    assert example.target is None
    assert missing_target(study, example) == "question or answer empty after cleaning"


def test_a_caption_is_a_target_and_the_text_that_the_film_is_paired_with():
    study = make_study(caption="Radiograph with an  unchanged left effusion.")
    tally = PriorTally()
    settings = ExampleSettings(section="caption", prior_references="remove")
    example = make_example(study, settings, 0, "../ingest", tally)
    assert example.target == example.report == "Radiograph with a left effusion."
    assert example.observations["Pleural Effusion"] is State.POSITIVE
    assert tally.summary()["texts"] == 1
    both = make(make_study(caption="A caption.", sections={"findings": TEXT}))
    assert "caption" not in (both.report or "")
    bare = make_study(sections={"findings": TEXT})
    assert missing_target(bare, make(bare, section="caption")) == "no caption"


def test_a_labeller_without_its_kind_is_told_which_there_are():
    with pytest.raises(ConfigError, match=r"labellers needs its 'kind'\. Known: chexbert, rules"):
        load_config(ExampleSettings, None, labeller={"path": "chexbert"})
