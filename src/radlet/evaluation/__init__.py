"""Evaluation: tasks, baselines, scorecards and the page that shows them.

`TASKS` lists what can be asked of a model (see `tasks.Task` for the contract).
"""

from radlet.core.registry import Registry

TASKS = Registry("tasks", {"findings": "radlet.evaluation.tasks:Findings"})

__all__ = ["TASKS"]
