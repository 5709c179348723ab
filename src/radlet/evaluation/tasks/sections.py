"""Tasks of writing: a section of a report, or the caption of a film, from the films and the indication."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from radlet.core.records import Example
from radlet.evaluation.tasks.base import Task

if TYPE_CHECKING:
    from radlet.inference.drafter import DraftRequest

_METRICS = (
    "observation_f1_micro_14",
    "observation_f1_macro_14",
    "observation_f1_micro_13",
    "observation_f1_macro_13",
    "observation_f1_micro_5",
    "observation_f1_macro_5",
    "observation_f1_micro_14_with_uncertain",
    "observation_f1_macro_14_with_uncertain",
    "observation_f1_micro_5_with_uncertain",
    "observation_f1_macro_5_with_uncertain",
    "observation_precision_micro_14",
    "observation_recall_micro_14",
    "negation_agreement",
    "laterality",
    "severity_agreement",
    "critical_misses",
    "critical_misses_pneumothorax",
    "critical_misses_malposition",
    "critical_misses_large_effusion",
    "prior_hallucination",
    "rule_judge_credit",
    "rule_judge_errors",
    "rule_judge_significant_errors",
    "statement_f1_simple",
    "statement_f1_partial",
    "statement_f1_complete",
    "statement_f1_at_equal_length",
    "bleu_1",
    "bleu_2",
    "bleu_3",
    "bleu_4",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "meteor_exact_stem",
    "cider",
    "edit_distance_words",
    "repetition_4",
    "length_words",
    "length_ratio",
)
"""Names that judge every section."""


class Section(Task):
    """Draft the text of an example.

    Attributes:
        sections: What `Example.target_section` may be.
    """

    sections: ClassVar[tuple[str, ...]]
    reads = "reports"
    looking = ("truth_f1_micro", "observation_f1_micro_13")
    # "No Finding" is left out of the verdict, as it is right without a look for most.

    def accepts(self, example: Example) -> bool:
        """Accept examples with a text of that section and a film; the answer to a question is none."""
        return bool(
            example.target
            and example.image_paths
            and example.question is None
            and example.target_section in self.sections
        )

    def reference(self, example: Example) -> str:
        """Return the target text."""
        return example.target or ""

    def request(self, example: Example, image_paths: Sequence[str]) -> "DraftRequest":
        """Ask with the example's own indication."""
        # Scoring a file needs tasks but no model: the inference package, and torch with it, loads when drafting.
        from radlet.inference.drafter import DraftRequest  # noqa: PLC0415

        return DraftRequest(tuple(Path(path) for path in image_paths), example.indication)


class Findings(Section):
    """Draft the findings of a report, or the caption of a film, from the films and the indication."""

    version = 3
    sections = ("findings", "caption")
    metrics = _METRICS
    paraphrases = (
        ("What does this chest radiograph show?", "Reason for the exam: {indication} What does the radiograph show?"),
        ("Describe the film.", "Describe the film. The study was made for: {indication}"),
        ("Write the findings of this study.", "Write the findings of this study, made because of: {indication}"),
    )


class Impression(Section):
    """Draft the impression of a report from the films and the indication, by a model tuned to write either section."""

    version = 1
    sections = ("impression",)
    metrics = _METRICS
    paraphrases = (
        ("What is the impression of this study?", "Reason for the exam: {indication} What is the impression?"),
        ("Summarise the film.", "Summarise the film. The study was made for: {indication}"),
        ("Write the impression of this study.", "Write the impression of this study, made because of: {indication}"),
    )
