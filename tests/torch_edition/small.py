"""What the tests of the PyTorch edition share: a small net, and what two runs came to."""

import json
import re

import pytest

from nin_gluon.training.history import read_history

torch = pytest.importorskip("torch")

import safetensors.torch  # noqa: E402

LAST_LINES = re.compile(r"loss \d\.\d{3}, train acc [01]\.\d{3}, test acc [01]\.\d{3}\n"
                        r"\d+\.\d examples/sec on \S+\n")

# Options of a quick run: five steps an epoch.
SMALL = ["--resize", "67", "--batch-size", "20", "--dataset", "fashion-mnist", "--lr", "0.2",
         "--no-progress"]


class Small(torch.nn.Sequential):
    """A net that learns something from few images in no time."""

    def __init__(self, classes=10):
        super().__init__(torch.nn.Conv2d(1, 8, 5, 4), torch.nn.ReLU(), torch.nn.Dropout(0.1),
                         torch.nn.Conv2d(8, classes, 3), torch.nn.AdaptiveAvgPool2d(1),
                         torch.nn.Flatten())


def outcome(run):
    """What a run folder says of a run: its log without times, and its parameters."""
    log = [(r.epoch, r.loss, r.train_acc, r.test_acc) for r in read_history(run / "history.jsonl")]
    model, = run.glob("model-*.safetensors")
    return log, safetensors.torch.load_file(model)


def assert_same_outcome(one, other, epochs=3):
    (log, parameters), (other_log, other_parameters) = outcome(one), outcome(other)
    assert log == other_log and len(log) == epochs
    assert list(parameters) == list(other_parameters)
    assert all(map(torch.equal, parameters.values(), other_parameters.values()))


def save_in_one_file(folder, net, history=(), training_seconds=0.0, order=None, **numbers):
    """Write a ``checkpoint.safetensors`` as this command did before it had checkpoint folders."""
    now = torch.get_rng_state()
    tensors = {f"net.{name}": values.contiguous() for name, values in net.state_dict().items()}
    tensors.update({"random.now": now, "random.order": (now if order is None else order).clone()})
    state = {"format": 2, "history": [record.to_json() for record in history],
             "training_seconds": training_seconds, "step": 0, "loss_sum": 0.0, "correct": 0,
             "seconds": 0.0, **numbers}
    safetensors.torch.save_file(tensors, folder / "checkpoint.safetensors",
                                {"state": json.dumps(state)})
