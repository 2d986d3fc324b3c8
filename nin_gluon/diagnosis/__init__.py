"""What this machine has for the chapter, and what stands in the way. Finds out; changes nothing.

The files, from the bottom up:

- ``probes``: questions that a process of its own answers, because the answer may kill it
- ``frameworks``: MXNet, PyTorch and the optional packages
- ``hardware``: processor, memory and GPUs
- ``storage``: the data sets, and the folders that are written to
- ``report``: all of it as one JSON object, with the problems and what to do about each
"""

from nin_gluon.diagnosis.report import environment_report

__all__ = ["environment_report"]
