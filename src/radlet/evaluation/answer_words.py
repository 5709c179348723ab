"""How the page names the scores of answers: questions, multiple choice and pairs of films."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lead:
    """What the page is headed by: the leading score, and what it lets one say."""

    title: str
    note: str
    claim: str = "The drafts name what is on the film"
    drafts: str = "drafts"


LEADS = {
    "closed_accuracy": Lead(
        "Closed questions, accuracy", "share answered rightly", "Closed questions are answered", "answers"
    ),
    "open_token_recall": Lead(
        "Open questions, recall", "of the reference's words", "Open questions are answered", "answers"
    ),
    "multiple_choice_circular_accuracy": Lead(
        "Right in every rotation", "questions answered rightly in any order", "The answers are chosen", "answers"
    ),
    "multiple_choice_accuracy": Lead(
        "Multiple choice, accuracy", "each asking for itself", "The answers are chosen", "answers"
    ),
    "pairs_set_accuracy": Lead("Both films right", "of pairs; guessing: 0.25", "The films are told apart", "answers"),
    "pairs_individual_accuracy": Lead(
        "Right, each film", "of pairs; guessing: 0.5", "The films are told apart", "answers"
    ),
}
"""Leading metric -> its words; F1 of findings where it is another."""
BESIDE = {
    "closed_accuracy": "open_token_recall",
    "multiple_choice_circular_accuracy": "multiple_choice_accuracy",
    "pairs_set_accuracy": "pairs_individual_accuracy",
}
"""Leading metric -> the one that stands beside it."""
SIGNS = {"pairs_confusion": -1, "multiple_choice_consistency": 0, "closed_yes_share": 0}
"""Which way the scores of one task alone are better, where that is not higher."""
ANSWER_PROBES = {
    "blank": ("Blank film", "answers that change", True),
    "noise": ("Noise in the film's place", "answers that change", True),
    "mirrored": ("Left and right exchanged", "answers of left or right that change side", True),
    "shifted": ("Shifted by one pixel", "answers that stay", True),
    "reencoded": ("Saved as JPEG", "answers that stay", True),
}
"""Probe -> what was changed, what the share is of, and whether 1 is best, where a draft is an answer."""
ANSWER_GROUPS: dict[str, dict[str, str]] = {
    "Closed questions": {
        "closed_accuracy": "Accuracy",
        "closed_exact_match": "Exact match",
        "closed_yes_share": "Yes, of those answered by yes or no",
    },
    "Open questions": {
        "open_token_recall": "Recall of the reference's words",
        "open_token_f1": "F1 of words",
        "open_exact_match": "Exact match",
    },
    "Multiple choice": {
        "multiple_choice_circular_accuracy": "Right in every rotation",
        "multiple_choice_accuracy": "Right, each asking",
        "multiple_choice_consistency": "The same in every rotation",
    },
    "Confusing pairs": {
        "pairs_set_accuracy": "Both right",
        "pairs_individual_accuracy": "Right, each film",
        "pairs_confusion": "The same for both",
    },
}
"""Groups of the table of scores: title -> metric -> its words."""
