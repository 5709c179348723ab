from types import SimpleNamespace

import numpy as np
import pytest

from radlet.evaluation.tasks.choices import ChoiceRequest, Chooser, read_choice

SENTENCES = ("There is a pleural effusion.", "There is no pleural effusion.")


class Model:
    """Finds short texts likely, and those with a word of the film's name more so."""

    def __init__(self, section="answer", text="B"):
        self.card = SimpleNamespace(target_section=section)
        self.text, self.ended = text, []

    def log_likelihoods(self, requests, texts, *, ended, batch_size):
        self.ended.append(ended)
        seen = [
            -len(text) + 3.0 * any(path.stem in text for path in request.image_paths)
            for request, text in zip(requests, texts, strict=True)
        ]
        return np.array([seen, [1] * len(seen)]).T

    def draft(self, requests, *, batch_size):
        return [self.text] * len(requests)


def request_of(film, options, observation=None):
    from pathlib import Path

    return ChoiceRequest((Path(film),), options=options, observation=observation)


def test_the_likeliest_option_is_taken_and_the_contrast_takes_the_habit_out():
    requests = [request_of("lung.png", ("a", "lung")), request_of("x.png", ("heart", "rib"))]
    assert Chooser(Model(), "likelihood").draft(requests, batch_size=2) == ["a", "rib"]
    assert Chooser(Model(), "contrast").draft(requests, batch_size=2) == ["lung", "heart"]  # equal: the first


@pytest.mark.parametrize(("section", "ended"), [("answer", True), ("findings", False)])
def test_an_answer_ends_with_its_option_and_a_report_goes_on(section, ended):
    model = Model(section)
    Chooser(model, "likelihood").draft([request_of("x.png", ("a", "b"))], batch_size=2)
    assert model.ended == [ended]


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        ("B", "right"),
        ("(B)", "right"),
        ("A. left", "left"),
        ("Right.", "right"),
        ("right lower lobe", "right lower lobe"),
        ("D", ""),
        ("A large mass", ""),
        ("", ""),
    ],
)
def test_what_is_written_is_read_as_letter_or_words(draft, expected):
    assert read_choice(request_of("x.png", ("left", "right", "right lower lobe")), draft) == expected


def test_a_report_is_read_by_its_observation():
    asked = request_of("x.png", SENTENCES, "Pleural Effusion")
    assert read_choice(asked, "The heart is enlarged. Small left pleural effusion.") == SENTENCES[0]
    assert read_choice(asked, "The lungs are clear.") == SENTENCES[1]
    assert Chooser(Model(text="No effusion."), "generated").draft([asked], batch_size=1) == [SENTENCES[1]]
