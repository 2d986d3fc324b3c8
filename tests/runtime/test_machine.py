"""The description of the machine."""

import json
import sys

import mxnet as mx

from nin_gluon import runtime


def test_the_machine_is_described_in_json(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "auto")
    assert runtime.describe_machine()["threads"] == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")  # a user may set one number for each level
    told = runtime.describe_machine()
    assert json.loads(json.dumps(told)) == told
    assert told["mxnet"] == mx.__version__
    assert told["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert told["threads"] == 6
    assert told["cpu"]
