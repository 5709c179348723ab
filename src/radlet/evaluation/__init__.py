"""Evaluation: tasks, judges, baselines, scorecards and the page that shows them.

`TASKS` lists what can be asked of a model (see `tasks.base.Task` for the contract), `JUDGES` what counts errors in
drafts (see `metrics.judging.Judge`).
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
JUDGES = Registry("judges", {"rules": "radlet.evaluation.judging:RuleJudge", "llm": "radlet.llm.judging:ModelJudge"})

__all__ = ["JUDGES", "TASKS"]
