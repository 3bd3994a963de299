"""The federated learning tasks of the experiments: what every node learns from what examples."""

from simulations.tasks.load import cached_task, load_task
from simulations.tasks.task import Task

__all__ = ["Task", "cached_task", "load_task"]
