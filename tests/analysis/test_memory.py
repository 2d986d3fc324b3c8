"""What MXNet allocates, against what the arithmetic says."""

import os

import pytest

from nin_gluon.analysis import memory
from nin_gluon.analysis.cost import measure
from nin_gluon.errors import InputError
from tests import forked_python

SHAPE = (3, 1, 67, 67)


def allocations():
    return memory.allocations("nin", SHAPE)


def test_what_training_keeps_is_what_mxnet_keeps_to_the_byte():
    """A forward pass in training leaves behind what the arithmetic says, beside the parameters."""
    allocated, expected = forked_python.call(allocations), measure("nin", SHAPE)["bytes"]
    assert set(allocated) == set(memory.WAYS)
    found, expected = allocated["training, layer by layer"], expected["training"]
    assert found["forward"] == expected["activations"]
    both = expected["parameters"] + expected["gradients of parameters"]
    assert both <= found["parameters"] < both + 1000  # a random state
    assert expected["images"] <= found["images"] < expected["images"] + 1000  # labels
    for way, part in allocated.items():
        inference = way.startswith("inference")
        assert part["peak"] > part["parameters"] + part["images"]
        assert part["process"] > 0
        assert (part["parameters"] < both) == inference


def test_what_cannot_be_run_is_said_in_one_line(tmp_path, monkeypatch):
    """A process that fails is named, with its reason; here an MXNet that has no memory."""
    way = "inference, hybridized"  # one process is enough
    monkeypatch.setattr(memory, "WAYS", {way: memory.WAYS[way]})
    (tmp_path / "mxnet.py").write_text("raise MemoryError('no room for so many images')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match="failed .*no room for so many images"):
        memory.allocations("nin", (1, 1, 67, 67))
