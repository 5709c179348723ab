"""What is asked of a model, one file a kind of task; `evaluation.TASKS` lists them by name."""

from radlet.evaluation.tasks.base import Material, Rows, Task
from radlet.evaluation.tasks.sections import Findings

__all__ = ["Findings", "Material", "Rows", "Task"]
