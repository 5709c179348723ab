"""Evaluation: tasks, baselines, scorecards and the page that shows them.

`TASKS` lists what can be asked of a model (see `tasks.base.Task` for the contract).
"""

from radlet.core.registry import Registry

TASKS = Registry(
    "tasks",
    {
        "findings": "radlet.evaluation.tasks.sections:Findings",
        "impression": "radlet.evaluation.tasks.sections:Impression",
        "questions": "radlet.evaluation.tasks.questions:Questions",
        "multiple_choice": "radlet.evaluation.tasks.multiple_choice:MultipleChoice",
        "confusing_pairs": "radlet.evaluation.tasks.confusing_pairs:ConfusingPairs",
    },
)

__all__ = ["TASKS"]
