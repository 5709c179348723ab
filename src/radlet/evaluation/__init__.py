"""Evaluation: tasks, judges, baselines, scorecards and the page that shows them.

`TASKS` lists what can be asked of a model (see `tasks.Task` for the contract), `JUDGES` what counts errors in drafts
(see `metrics.judging.Judge`).
"""

from radlet.core.registry import Registry

TASKS = Registry("tasks", {"findings": "radlet.evaluation.tasks:Findings"})
JUDGES = Registry("judges", {"rules": "radlet.evaluation.judging:RuleJudge", "llm": "radlet.llm.judging:ModelJudge"})

__all__ = ["JUDGES", "TASKS"]
