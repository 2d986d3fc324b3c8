"""Checkpoints: they bring back everything, appear whole, and say when they cannot be read."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from nin_gluon import InputError
from nin_gluon.training import checkpoint
from nin_gluon.training.history import EpochRecord
from nin_gluon.training.loop import Tally


def net_and_trainer(units=3):
    net = nn.HybridSequential()
    net.add(nn.Dense(units), nn.Dropout(0.5))
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 2)))
    schedule = mx.lr_scheduler.CosineScheduler(10, 0.1, warmup_steps=2)
    return net, gluon.Trainer(net.collect_params(), "sgd",
                              {"learning_rate": 0.1, "momentum": 0.9, "lr_scheduler": schedule})


def train_steps(net, trainer, first, last):
    for step in range(first, last):
        checkpoint.seed_step(0, 1, step)
        with autograd.record():
            loss = net(nd.array([[1, 2], [3, step]])).square()
        loss.backward()
        trainer.step(2)
    return [p.data().asnumpy() for p in net.collect_params().values()]


@pytest.fixture
def saved(tmp_path):
    """A run folder with a checkpoint after three steps, and the parameters after seven."""
    mx.random.seed(1)
    net, trainer = net_and_trainer()
    train_steps(net, trainer, 0, 3)
    history = [EpochRecord(1, 0.1, 0.2, 0.3, 0.4)]
    tally = Tally(2, step=3, loss_sum=1 / 3, correct=5, images=6, seconds=7.5)
    checkpoint.save(tmp_path, net, trainer, tally, history, np.random.get_state())
    return tmp_path, history, tally, np.random.rand(4), train_steps(net, trainer, 3, 7)


def test_going_on_is_as_never_having_stopped(saved):
    run, history, tally, numbers, parameters = saved
    np.random.seed(99)
    net, trainer = net_and_trainer()
    loaded, loaded_history = checkpoint.load(checkpoint.latest(run), net, trainer, mx.cpu())
    assert loaded_history == history
    assert loaded.state() == tally.state()
    np.testing.assert_array_equal(np.random.rand(4), numbers)
    for mine, wanted in zip(train_steps(net, trainer, 3, 7), parameters):
        np.testing.assert_array_equal(mine, wanted)


def test_only_the_newest_is_kept_and_nothing_half_written(saved):
    run = saved[0]
    net, trainer = net_and_trainer()
    path = checkpoint.save(run, net, trainer, Tally(3), [], np.random.get_state())
    assert path == checkpoint.latest(run)
    assert [p.name for p in (run / "checkpoint").iterdir()] == ["epoch-0003-step-000000"]


def test_an_interrupted_save_leaves_the_one_before(saved, monkeypatch):
    run = saved[0]
    before = checkpoint.latest(run)
    net, trainer = net_and_trainer()
    monkeypatch.setattr(trainer, "save_states", lambda path: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        checkpoint.save(run, net, trainer, Tally(3), [], np.random.get_state())
    assert checkpoint.latest(run) == before
    assert len(list((run / "checkpoint").iterdir())) == 1


@pytest.mark.parametrize("name", ["net.params", "trainer.states", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_a_damaged_checkpoint_is_named(saved, name, damage):
    path = checkpoint.latest(saved[0])
    content = (path / name).read_bytes()
    (path / name).unlink()
    if damage != "missing":
        (path / name).write_bytes(content[:50] if damage == "truncated" else b"")
    with pytest.raises(InputError, match="epoch-0002-step-000003 cannot be read"):
        checkpoint.load(path, *net_and_trainer(), mx.cpu())


def test_what_a_killed_process_left_is_cleared(saved):
    run = saved[0]
    (run / "checkpoint" / ".saving-dead").mkdir()
    checkpoint.save(run, *net_and_trainer(), Tally(3), [], np.random.get_state())
    assert [p.name for p in (run / "checkpoint").iterdir()] == ["epoch-0003-step-000000"]


def test_another_nets_checkpoint_is_refused(saved):
    with pytest.raises(InputError, match="cannot be read"):
        checkpoint.load(checkpoint.latest(saved[0]), *net_and_trainer(units=4), mx.cpu())


def test_a_run_without_checkpoint_says_so(tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.latest(tmp_path)


def test_dropout_depends_on_seed_epoch_step_and_worker_alone():
    def mask(*key):
        checkpoint.seed_step(*key)
        with autograd.record():
            return nd.Dropout(nd.ones(100), p=0.5).asnumpy().tolist()

    first = mask(0, 1, 1)
    others = [mask(*key) for key in ((1, 1, 1), (0, 2, 1), (0, 1, 2), (0, 1, 1, 1), (0, 1, 1, 2))]
    assert first not in others and others[-1] != others[-2]
    assert mask(0, 1, 1) == first
