"""What the scorecard's page calls systems, probes and metrics."""

from radlet.evaluation.answer_words import ANSWER_GROUPS

SYSTEM_TITLES = {
    "constant": "Constant",
    "no_image": "No image",
    "shuffled_image": "Shuffled image",
    "nearest_neighbour": "Nearest neighbour",
    "text_only": "Text only",
}
SYSTEM_HINTS = {
    "constant": "the training report that scores best as everyone's answer",
    "no_image": "the same recipe tuned and asked without any film",
    "shuffled_image": "the model given another patient's film",
    "text_only": "a plain language model, told the indication and shown training reports of similar ones, no film",
    "nearest_neighbour": "the report of the training film nearest in the encoder's embedding",
}
PROBES: dict[str, tuple[str, str, bool]] = {
    "blank": ("Blank film", "findings that disappear", True),
    "noise": ("Noise in the film's place", "findings that disappear", True),
    "mirrored": ("Left and right exchanged", "one-sided findings that change side", True),
    "occluded": ("The finding painted over", "findings that disappear", True),
    "shifted": ("Shifted by one pixel", "drafts with the same observations", True),
    "reencoded": ("Saved as JPEG", "drafts with the same observations", True),
    "paraphrased": ("The question in other words", "drafts with other observations", False),
}
"""Probe -> what was changed, what the share is of, and whether 1 is best (else 0)."""
GROUPS: dict[str, dict[str, str]] = {
    "Findings, against the exact truth": {
        "truth_f1_micro": "F1, micro",
        "truth_f1_macro": "F1, macro",
        "truth_precision_micro": "Precision",
        "truth_recall_micro": "Recall",
        "truth_laterality": "Right side, of one-sided findings",
    },
    "Findings, against the reference report": {
        "observation_f1_micro_14": "F1, micro, 14 observations",
        "observation_f1_macro_14": "F1, macro, 14",
        "observation_f1_micro_13": "F1, micro, without No Finding",
        "observation_f1_macro_13": "F1, macro, without No Finding",
        "observation_f1_micro_5": "F1, micro, 5",
        "observation_f1_macro_5": "F1, macro, 5",
        "observation_precision_micro_14": "Precision, micro, 14",
        "observation_recall_micro_14": "Recall, micro, 14",
        "observation_f1_micro_14_with_uncertain": "F1, micro, 14, uncertain counts",
        "observation_f1_macro_14_with_uncertain": "F1, macro, 14, uncertain counts",
        "laterality": "Right side, of one-sided findings",
        "severity_agreement": "Right degree, of graded findings",
        "negation_agreement": "Presence agreed, of what both name",
    },
    "Statements, by the rule judge": {
        "rule_judge_credit": "Weight of findings accounted for",
        "rule_judge_errors": "Errors a report",
        "rule_judge_significant_errors": "Significant errors a report",
        "statement_f1_simple": "Statement F1, simple",
        "statement_f1_partial": "Statement F1, partial",
        "statement_f1_complete": "Statement F1, complete",
        "statement_f1_at_equal_length": "Statement F1, simple, at equal length",
    },
    "What must not happen": {
        "critical_misses": "Reports with a critical finding missed",
        "critical_misses_pneumothorax": "Pneumothorax missed",
        "critical_misses_malposition": "Misplaced tube or line missed",
        "critical_misses_large_effusion": "Large effusion missed",
        "prior_hallucination": "Earlier exam made up",
    },
    "Words": {
        "bleu_1": "BLEU-1",
        "bleu_2": "BLEU-2",
        "bleu_3": "BLEU-3",
        "bleu_4": "BLEU-4",
        "rouge_1": "ROUGE-1",
        "rouge_2": "ROUGE-2",
        "rouge_l": "ROUGE-L",
        "meteor_exact_stem": "METEOR without synonyms",
        "cider": "CIDEr-D, of 10",
        "edit_distance_words": "Words to change, of the longer text",
    },
    **ANSWER_GROUPS,
    "Shape of the text": {
        "length_words": "Words a draft",
        "length_ratio": "Length over reference",
        "repetition_4": "Runs of four words said twice",
    },
}
SIDES = ("truth_laterality", "laterality")
FEW_CASES = (
    *SIDES,
    *(name for title in ("Closed questions", "Open questions") for name in ANSWER_GROUPS[title]),
    "severity_agreement",
    "negation_agreement",
    "critical_misses",
    "critical_misses_pneumothorax",
    "critical_misses_malposition",
    "critical_misses_large_effusion",
)
"""Shares that may be of few cases, or of none, so that the number of cases stands beside them."""
