import pytest

from radlet.evaluation.tasks.sections import Findings
from radlet.evaluation.text_only import TextModelConfig, TextOnly, whole_sentences

REPORTS = {
    "cough and fever": "Right lower consolidation.",
    "fall on the left side": "Left rib fracture.",
    "shortness of breath": "Large effusion.",
    None: "The lungs are clear.",
}


class Echo:
    """Answers with the first words of the last example, as a model that copies would; takes `room` characters."""

    def __init__(self, room=10_000):
        self.room, self.asked = room, []

    def has_room(self, prompt, max_new_tokens):
        return len(prompt) + max_new_tokens <= self.room

    def write(self, prompts, *, max_new_tokens, batch_size):
        self.asked += prompts
        return [prompt.split("Findings: ")[-1].split("\n")[0] + " And then" for prompt in prompts]


@pytest.fixture
def ask(example):
    training = [example(i, text, indication=told) for i, (told, text) in enumerate(REPORTS.items())]
    training.append(example(0, REPORTS["cough and fever"], indication="cough and fever", image_paths=("/other.png",)))

    def ask(indication, writer, **settings):
        config = TextModelConfig(path="nowhere", **settings)
        judged = [example(9, "unseen", indication=indication)]
        return TextOnly(Findings(), training, config, seed=0).draft(judged, writer, 8)([0])

    return ask


def test_the_nearest_training_report_stands_last_and_no_reference_is_told(ask):
    writer = Echo()
    assert ask("dry cough, some fever", writer, num_examples=2) == ["Right lower consolidation."]
    [prompt] = writer.asked
    assert prompt.count("Reason for the exam:") >= 2
    assert prompt.endswith(
        "Reason for the exam: cough and fever\nFindings: Right lower consolidation.\n\n"
        "Reason for the exam: dry cough, some fever\nFindings:"
    )
    assert "unseen" not in prompt


def test_films_of_a_study_give_one_example_and_no_indication_a_drawn_one(ask):
    writer = Echo()
    ask(None, writer, num_examples=4)
    ask(None, writer, num_examples=4)
    first, again = writer.asked
    assert first == again
    assert first.count("Right lower consolidation.") == 1
    assert first.endswith("\n\nFindings:")


def test_examples_that_do_not_fit_are_left_out_the_farthest_first(ask):
    writer = Echo(room=330)
    ask("cough and fever", writer, num_examples=4, max_new_tokens=128)
    assert 0 < writer.asked[0].count("Findings: ") < 4
    assert "Right lower consolidation." in writer.asked[0]
    ask("cough and fever", tiny := Echo(room=1), num_examples=4)
    assert tiny.asked == ["Chest radiograph reports.\n\nReason for the exam: cough and fever\nFindings:"]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Clear lungs. No effu", "Clear lungs."),
        ("Clear lungs.", "Clear lungs."),
        ("A 2.5 cm nodule", "A 2.5 cm nodule"),
        ("", ""),
    ],
    ids=["cut", "whole", "no end", "empty"],
)
def test_a_last_sentence_that_was_cut_off_goes(text, whole):
    assert whole_sentences(text) == whole
