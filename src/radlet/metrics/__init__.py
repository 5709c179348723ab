"""Metrics: pure functions from references and predictions to a score, without torch.

`METRICS` lists those that judge a draft against its reference (see `base.Metric` for the contract). To add one: a new
module with an object of that shape, and one line here. Metrics of films and texts together are in `retrieval`.
"""

from radlet.core.registry import Registry

METRICS = Registry(
    "metrics",
    {
        "observation_f1_micro_14": "radlet.metrics.observations:F1_MICRO_14",
        "observation_f1_macro_14": "radlet.metrics.observations:F1_MACRO_14",
        "observation_f1_micro_13": "radlet.metrics.observations:F1_MICRO_13",
        "observation_f1_macro_13": "radlet.metrics.observations:F1_MACRO_13",
        "observation_f1_micro_5": "radlet.metrics.observations:F1_MICRO_5",
        "observation_f1_macro_5": "radlet.metrics.observations:F1_MACRO_5",
        "observation_f1_micro_14_with_uncertain": "radlet.metrics.observations:F1_MICRO_14_WITH_UNCERTAIN",
        "observation_f1_macro_14_with_uncertain": "radlet.metrics.observations:F1_MACRO_14_WITH_UNCERTAIN",
        "observation_f1_micro_5_with_uncertain": "radlet.metrics.observations:F1_MICRO_5_WITH_UNCERTAIN",
        "observation_f1_macro_5_with_uncertain": "radlet.metrics.observations:F1_MACRO_5_WITH_UNCERTAIN",
        "observation_precision_micro_14": "radlet.metrics.observations:PRECISION_MICRO_14",
        "observation_recall_micro_14": "radlet.metrics.observations:RECALL_MICRO_14",
        "laterality": "radlet.metrics.laterality:LATERALITY",
        "rule_judge_credit": "radlet.metrics.rule_judge:CREDIT",
        "rule_judge_errors": "radlet.metrics.rule_judge:ERRORS",
        "rule_judge_significant_errors": "radlet.metrics.rule_judge:SIGNIFICANT_ERRORS",
        "rule_judge_false_findings": "radlet.metrics.rule_judge:FALSE_FINDINGS",
        "rule_judge_missing_findings": "radlet.metrics.rule_judge:MISSING_FINDINGS",
        "rule_judge_wrong_places": "radlet.metrics.rule_judge:WRONG_PLACES",
        "rule_judge_wrong_degrees": "radlet.metrics.rule_judge:WRONG_DEGREES",
        "rule_judge_false_comparisons": "radlet.metrics.rule_judge:FALSE_COMPARISONS",
        "rule_judge_missing_comparisons": "radlet.metrics.rule_judge:MISSING_COMPARISONS",
        "statement_f1_simple": "radlet.metrics.statement_f1:SIMPLE",
        "statement_f1_partial": "radlet.metrics.statement_f1:PARTIAL",
        "statement_f1_complete": "radlet.metrics.statement_f1:COMPLETE",
        "bleu_1": "radlet.metrics.lexical:BLEU_1",
        "bleu_2": "radlet.metrics.lexical:BLEU_2",
        "bleu_3": "radlet.metrics.lexical:BLEU_3",
        "bleu_4": "radlet.metrics.lexical:BLEU_4",
        "rouge_1": "radlet.metrics.lexical:ROUGE_1",
        "rouge_2": "radlet.metrics.lexical:ROUGE_2",
        "rouge_l": "radlet.metrics.lexical:ROUGE_L",
        "cider": "radlet.metrics.cider:CIDER",
        "answer_accuracy": "radlet.metrics.answers:ACCURACY",
        "answer_exact_match": "radlet.metrics.answers:EXACT_MATCH",
        "answer_token_recall": "radlet.metrics.answers:TOKEN_RECALL",
        "answer_token_f1": "radlet.metrics.answers:TOKEN_F1",
        "length_words": "radlet.metrics.text_shape:LENGTH_WORDS",
        "length_ratio": "radlet.metrics.text_shape:LENGTH_RATIO",
    },
)

__all__ = ["METRICS"]
