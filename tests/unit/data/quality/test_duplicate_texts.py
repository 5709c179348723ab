import pytest

from radlet.core.records import Study
from radlet.data.quality.duplicate_texts import DuplicateTexts

NORMAL = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax is seen today."


def find(texts, **settings):
    finder = DuplicateTexts(**settings).finder(None)
    for number, (text, patient) in enumerate(texts):
        finder.add(Study(study_id=f"s{number}", patient_id=patient, images=(), report=text), [])
    return finder.find()


def test_equal_and_nearly_equal_reports_are_one_group():
    nearly = NORMAL.replace("The lungs", "Lungs").upper()
    [group] = find([(NORMAL, "p"), ("A large right effusion with collapse below.", "q"), (nearly, "r"), (NORMAL, "p")])
    assert group.of == "studies"
    assert (group.kept, set(group.surplus)) == ("s0", {"s2", "s3"})
    assert group.similarity["s3"] == 1.0
    assert 0.95 <= group.similarity["s2"] < 1.0


def test_a_word_that_changes_the_meaning_is_still_near_and_a_higher_limit_tells_it_apart():
    other = NORMAL.replace("No pleural", "Small pleural")
    assert len(find([(NORMAL, "p"), (other, "q")], limit=0.9)) == 1
    assert find([(NORMAL, "p"), (other, "q")], limit=0.99) == []


def test_short_and_missing_texts_are_not_compared():
    assert find([("Normal chest.", "p"), ("Normal chest.", "q"), (None, "r"), (None, "s")]) == []


def test_groups_do_not_chain_from_text_to_text():
    words = [f"word{number}" for number in range(60)]
    texts = [" ".join([f"new{number}" for number in range(step)] + words[step:]) for step in range(0, 60, 2)]
    groups = find([(text, f"p{number}") for number, text in enumerate(texts)], limit=0.95)
    assert max(len(group.similarity) for group in groups) < 6


def test_delivered_sections_count_rather_than_the_whole_report():
    finder = DuplicateTexts().finder(None)
    for number, indication in enumerate(("cough", "fall")):
        sections = {"findings": NORMAL, "indication": indication}
        finder.add(Study(study_id=f"s{number}", patient_id=f"p{number}", images=(), sections=sections), [])
    [group] = finder.find()
    assert group.scope == "several patients"
    assert group.similarity == pytest.approx({"s0": 1.0, "s1": 1.0})
