import pytest

from radlet.evaluation.marks import mark_draft, mark_reference, marked_phrases

LEFT, RIGHT = "There is a left pleural effusion.", "There is a right pleural effusion."
NONE, HEART = "No pleural effusion.", "The heart is enlarged."


def kinds(segments):
    return [segment.kind for segment in segments if segment.kind != "plain"]


@pytest.mark.parametrize(
    ("draft", "reference", "expected"),
    [
        (LEFT, LEFT, ["right"]),
        (LEFT, NONE, ["false"]),
        (LEFT, HEART, ["false"]),
        (RIGHT, LEFT, ["side"]),
        (NONE, LEFT, ["false"]),
        (NONE, NONE, []),
        (f"{HEART} {LEFT}", LEFT, ["false", "right"]),
        ("", LEFT, []),
    ],
)
def test_draft(draft, reference, expected):
    segments = mark_draft(draft, reference)
    assert kinds(segments) == expected
    assert "".join(segment.text for segment in segments) == draft


@pytest.mark.parametrize(
    ("reference", "draft", "expected"),
    [(LEFT, RIGHT, ["right"]), (LEFT, NONE, ["missed"]), (LEFT, HEART, ["missed"]), (NONE, LEFT, [])],
)
def test_reference(reference, draft, expected):
    segments = mark_reference(reference, draft)
    assert kinds(segments) == expected
    assert "".join(segment.text for segment in segments) == reference


def test_phrases_are_pieces_of_the_text_each_once():
    draft = f"{HEART} {LEFT} {LEFT}"
    phrases = marked_phrases(mark_draft(draft, f"{LEFT} {HEART}"))
    assert phrases[:2] == ["heart is enlarged", "left pleural effusion"]
    assert all(phrase in draft for phrase in phrases)


def test_a_phrase_is_not_mistaken_for_an_earlier_one():
    draft = "No pneumothorax. Small pneumothorax is seen."
    phrases = marked_phrases(mark_draft(draft, "A pneumothorax is seen."))
    assert phrases == ["pneumothorax", "Small pneumothorax"]  # wrongly denied, then rightly named
