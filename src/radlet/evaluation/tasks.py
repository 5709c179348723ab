"""What is asked of a model: how an example becomes a request, what answer is expected, and which metrics judge it.

A task carries a version, raised whenever its scores would change for the same drafts; it stands in the scorecard.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from radlet.core.records import Example

if TYPE_CHECKING:
    from radlet.inference.drafter import DraftRequest
    from radlet.models.prompts import Wording


class Task(ABC):
    """The contract of the `tasks` registry.

    Attributes:
        version: Raised whenever scores would change for the same drafts.
        metrics: Names from the metrics registry.
        paraphrases: The question of the task in other words, for the probe of that name; none: it is not asked.
    """

    version: ClassVar[int]
    metrics: ClassVar[tuple[str, ...]]
    paraphrases: ClassVar[tuple["Wording", ...]] = ()

    @abstractmethod
    def accepts(self, example: Example) -> bool:
        """Tell whether an example can be judged."""

    @abstractmethod
    def reference(self, example: Example) -> str:
        """Return the expected answer."""

    @abstractmethod
    def request(self, example: Example, image_paths: Sequence[str]) -> "DraftRequest":
        """Return what the model is given, with these films (another patient's, or none, for a baseline)."""


class Findings(Task):
    """Draft the target section of a report, or the caption of a film, from the films and the indication."""

    version = 3
    metrics = (
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
    paraphrases = (
        ("What does this chest radiograph show?", "Reason for the exam: {indication} What does the radiograph show?"),
        ("Describe the film.", "Describe the film. The study was made for: {indication}"),
        ("Write the findings of this study.", "Write the findings of this study, made because of: {indication}"),
    )

    def accepts(self, example: Example) -> bool:
        """Accept examples with a target text and a film; the answer to a question is no findings."""
        return bool(example.target and example.image_paths and example.question is None)

    def reference(self, example: Example) -> str:
        """Return the target text."""
        return example.target or ""

    def request(self, example: Example, image_paths: Sequence[str]) -> "DraftRequest":
        """Ask with the example's own indication."""
        # Scoring a file needs tasks but no model: the inference package, and torch with it, loads when drafting.
        from radlet.inference.drafter import DraftRequest  # noqa: PLC0415

        return DraftRequest(tuple(Path(path) for path in image_paths), example.indication)
