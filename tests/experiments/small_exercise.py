"""A small exercise, and runs of the train command that need no process: for tests of commands."""

import contextlib
import sys

from nin_gluon import train
from nin_gluon.experiments.exercises.exercise import Exercise, Part
from nin_gluon.settings import TEXTBOOK


def small_exercise(dataset, **more):
    """An exercise of one variant."""
    part = Part("p", "A net", TEXTBOOK.but(dataset=dataset, resize=67, batch_size=8),
                {"none": {"model": "nin_variant,inner=0"}})
    return Exercise("x", "why?", "so", (part,), 1, stall=True, **more)


class TrainHere:
    """In place of the Popen of `nin_gluon.experiments.jobs`: the same command in this process."""

    def __init__(self, command, stdout):
        assert command[:3] == [sys.executable, "-m", "nin_gluon.train"] and stdout == 2
        with contextlib.redirect_stdout(sys.stderr):
            self.status = train.main(command[3:])

    def wait(self):
        return self.status
