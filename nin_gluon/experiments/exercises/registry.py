"""The exercises by their names, in the order of the list."""

from typing import Dict

from nin_gluon.experiments.exercises import budget, heads, lottery, one_by_one, one_step, tune
from nin_gluon.experiments.exercises.exercise import Exercise

__all__ = ["EXERCISES"]

EXERCISES: Dict[str, Exercise] = {module.EXERCISE.name: module.EXERCISE for module in
                                  (tune, lottery, one_by_one, one_step, heads, budget)}
